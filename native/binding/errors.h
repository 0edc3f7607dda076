/*
 * What: how C++ exceptions reach JavaScript, and checked arguments.
 *   SystemError  -> Error, code ERR_PAGEFERRY_SYSTEM, operation, syscall, errno
 *   InvalidError -> Error, code ERR_PAGEFERRY_INVALID
 *   wrong type of an argument -> TypeError
 * Who: every entry point of native/binding runs inside guarded(); JavaScript thread.
 */
#ifndef PAGEFERRY_BINDING_ERRORS_H
#define PAGEFERRY_BINDING_ERRORS_H

#include <cstdint>
#include <exception>
#include <napi.h>
#include <string>
#include <utility>

namespace pageferry::binding
{

// The JavaScript error for an exception that is not one already.
Napi::Error to_error(Napi::Env env, std::exception_ptr exception);

template <typename Action>
auto guarded(Napi::Env env, Action &&action) -> decltype(action())
{
    try {
        return action();
    } catch (const Napi::Error &) {
        throw;
    } catch (const std::exception &) {
        throw to_error(env, std::current_exception());
    }
}

// `what` names the argument in the error. Unsigned integers up to `max`.
uint64_t to_unsigned(const Napi::Value &value, const char *what, uint64_t max);
std::string to_text(const Napi::Value &value, const char *what);
Napi::Object to_object(const Napi::Value &value, const char *what);

} // namespace pageferry::binding

#endif
