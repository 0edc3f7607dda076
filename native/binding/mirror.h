/*
 * What: an Engine for JavaScript. The constructor starts it; close ends it on the thread pool:
 * threads, fds and private memory are gone when its promise resolves. Only the window's address
 * range stays, empty, until JavaScript forgets it: sockets and files may still be writing from it
 * or reading into it, and nothing else must ever lie there meanwhile.
 * Who: JavaScript thread; reports come from vCPU threads through a thread-safe function that
 * does not keep the event loop alive. The end of the environment stops the engine, too.
 */
#ifndef PAGEFERRY_BINDING_MIRROR_H
#define PAGEFERRY_BINDING_MIRROR_H

#include <napi.h>

namespace pageferry::binding
{

Napi::Object InitMirror(Napi::Env env, Napi::Object exports);

} // namespace pageferry::binding

#endif
