// The addon's entry point: everything that src/native/addon.ts declares.
#include <napi.h>

#include "demo_guest.h"
#include "memory.h"
#include "mirror.h"
#include "page_set.h"
#include "probe.h"

namespace pageferry::binding
{

static Napi::Object InitAll(Napi::Env env, Napi::Object exports)
{
    InitMemory(env, exports);
    InitPageSet(env, exports);
    InitMirror(env, exports);
    InitDemoGuest(env, exports);
    InitProbe(env, exports);
    return exports;
}

} // namespace pageferry::binding

static Napi::Object Init(Napi::Env env, Napi::Object exports)
{
    return pageferry::binding::InitAll(env, exports);
}

NODE_API_MODULE(pageferry, Init)
