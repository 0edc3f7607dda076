/*
 * What: the addon's class DemoGuest (src/native/addon.ts, NativeDemoGuest).
 * Who: the JavaScript thread; what may block runs on libuv's workers and answers with a promise.
 */
#ifndef PAGEFERRY_BINDING_DEMO_GUEST_H
#define PAGEFERRY_BINDING_DEMO_GUEST_H

#include <napi.h>

namespace pageferry::binding
{

// Adds the class to the exports.
Napi::Object InitDemoGuest(Napi::Env env, Napi::Object exports);

} // namespace pageferry::binding

#endif
