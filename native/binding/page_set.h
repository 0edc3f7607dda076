/*
 * What: PageSet for JavaScript. Who: JavaScript thread only.
 */
#ifndef PAGEFERRY_BINDING_PAGE_SET_H
#define PAGEFERRY_BINDING_PAGE_SET_H

#include <napi.h>

#include "../memory/page_set.h"

namespace pageferry::binding
{

Napi::Object InitPageSet(Napi::Env env, Napi::Object exports);

// Valid as long as the value is. Throws TypeError for anything but a NativePageSet.
PageSet &page_set_of(const Napi::Value &value);

} // namespace pageferry::binding

#endif
