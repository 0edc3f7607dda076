/*
 * What: GuestMemory for JavaScript: the addon's Memory.create and Memory.open.
 * Who: JavaScript thread; prefault runs on the thread pool. Others share the memory through
 * memory_of, so that close only gives up this object's share.
 */
#ifndef PAGEFERRY_BINDING_MEMORY_H
#define PAGEFERRY_BINDING_MEMORY_H

#include <memory>
#include <napi.h>

#include "../memory/guest_memory.h"

namespace pageferry::binding
{

Napi::Object InitMemory(Napi::Env env, Napi::Object exports);

// Throws TypeError for anything but a NativeMemory, InvalidError for a closed one.
std::shared_ptr<GuestMemory> memory_of(const Napi::Value &value);

} // namespace pageferry::binding

#endif
