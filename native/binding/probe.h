/*
 * What: addon.probe(): what the machine offers. Who: JavaScript thread; takes some milliseconds.
 */
#ifndef PAGEFERRY_BINDING_PROBE_H
#define PAGEFERRY_BINDING_PROBE_H

#include <napi.h>

namespace pageferry::binding
{

Napi::Object InitProbe(Napi::Env env, Napi::Object exports);

} // namespace pageferry::binding

#endif
