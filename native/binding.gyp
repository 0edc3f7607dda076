# The addon: the helper's C sources, compiled for the host, and everything around them in C++.
# The four libraries are linked from their archives, so that both engines run the same code, and
# their symbols stay hidden: node carries libraries of its own with some of the same names.
{
  'variables': {
    'archives': '/usr/lib/x86_64-linux-gnu',
  },
  'targets': [
    {
      'target_name': 'pageferry',
      'sources': ['<!@(node ../scripts/native-sources.mjs)'],
      'include_dirs': ['.', "<!(node -p \"require('node-addon-api').include_dir\")"],
      'defines': [
        'PF_HOSTED=1',
        'NAPI_VERSION=9',
        'NAPI_CPP_EXCEPTIONS',
        # A worker may end while a report is on its way: there is nobody left to throw to.
        'NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
        '_GNU_SOURCE',
      ],
      'cflags!': ['-O3', '-Wno-unused-parameter', '-fno-exceptions'],
      'cflags_cc!': ['-O3', '-std=gnu++17', '-fno-exceptions', '-fno-rtti'],
      'cflags': [
        '-Wall',
        '-Wextra',
        '-Werror',
        '-pthread',
        '-fvisibility=hidden',
        '-fno-strict-aliasing',
      ],
      # The helper alone meets ram_addr_t 0, a page like any other; in C++ the flag would keep
      # templates from comparing function addresses.
      'cflags_c': ['-std=c11', '-fno-delete-null-pointer-checks'],
      'cflags_cc': ['-std=c++17', '-fexceptions', '-frtti'],
      'configurations': {
        'Release': {
          'cflags!': ['-O3'],
          'cflags': ['-O2', '-g1'],
        },
      },
      'ldflags': ['-Wl,--exclude-libs,ALL', '-Wl,-z,text', '-pthread'],
      'libraries': [
        '<(archives)/libIPSec_MB.a',
        '<(archives)/liblz4.a',
        '<(archives)/libbearssl.a',
        '<(archives)/libzstd.a',
      ],
    },
  ],
}
