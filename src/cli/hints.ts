/** What: one line of advice for an error, by its code; undefined where the message says it all. */

const hints: readonly (readonly [RegExp, string])[] = [
  [/KEY_FILE_MISSING$/, 'both sides need the same key: copy the file to the other side'],
  [/KEY_FILE_MODE$/, 'whoever read the key can read the session; think about making a new one'],
  [/KEY_FILE_(SHORT|FORMAT|LARGE|KIND)$/, 'make a key with: pageferry keys generate FILE'],
  [/KEY_FILE_OWNER$/, 'copy it to a file of your own with mode 0600'],
  [/KEY_REQUIRED$/, 'make a key with: pageferry keys generate FILE'],
  [/IN_DOUBT$/, 'find out where the guest runs, then: pageferry resolve SESSION --running-at SIDE'],
  [/_ROLE$/, 'one side sends, the other receives: pageferry send and pageferry receive'],
  [/_VERSION$/, 'use the same version of pageferry on both sides'],
  [/LANES_LOST|PEER_GONE/, 'look at what the other side says'],
  [/ADDRESS_IN_USE/, 'another process listens there; choose another port, or 0 for a free one'],
  [/TRANSPORT_(REFUSED|UNREACHABLE|DIAL)/, 'is the other side listening there, and reachable?'],
  [/UNRESOLVED/, 'is the name of the host right?'],
  [/TIMEOUT|TIMED_OUT/, 'is the other side running? --timeout gives it more time'],
  [
    /KVM|ENGINE_UNAVAILABLE/,
    'pageferry doctor says what is missing; --engine in-process needs no KVM',
  ],
  [/ADDON|HELPER_IMAGE/, 'build the native code with: npm run build'],
  [/HUGE_PAGES/, 'pageferry doctor tells how to make huge pages available'],
  [
    /INTERNAL$/,
    'this is a bug of pageferry; please report it with the output of --log-level debug',
  ],
];

export function hintFor(code: string): string | undefined {
  return hints.find(([pattern]) => pattern.test(code))?.[1];
}
