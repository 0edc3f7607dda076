// C++ exceptions as JavaScript errors, checked arguments. See errors.h.
#include "errors.h"

#include <cerrno>
#include <cmath>
#include <new>

#include "../kvm/error.h"

namespace pageferry::binding
{

namespace
{

Napi::Error system_error(Napi::Env env, const SystemError &error)
{
    Napi::Error made = Napi::Error::New(env, error.what());

    made.Set("code", Napi::String::New(env, "ERR_PAGEFERRY_SYSTEM"));
    made.Set("operation", Napi::String::New(env, error.operation()));
    made.Set("syscall", Napi::String::New(env, error.call()));
    made.Set("errno", Napi::Number::New(env, error.error_number()));
    return made;
}

} // namespace

Napi::Error to_error(Napi::Env env, std::exception_ptr exception)
{
    try {
        std::rethrow_exception(exception);
    } catch (const SystemError &error) {
        return system_error(env, error);
    } catch (const std::bad_alloc &) {
        return system_error(env, SystemError("find memory", "malloc", ENOMEM));
    } catch (const InvalidError &error) {
        Napi::Error made = Napi::Error::New(env, error.what());
        made.Set("code", Napi::String::New(env, "ERR_PAGEFERRY_INVALID"));
        return made;
    } catch (const std::exception &error) {
        return Napi::Error::New(env, error.what());
    }
}

uint64_t to_unsigned(const Napi::Value &value, const char *what, uint64_t max)
{
    if (!value.IsNumber())
        throw Napi::TypeError::New(value.Env(), std::string(what) + " must be a number");
    double number = value.As<Napi::Number>().DoubleValue();
    // 2^53: beyond it not every integer is a number.
    if (!(number >= 0 && number < 9007199254740992.0) || number != std::floor(number) ||
        static_cast<uint64_t>(number) > max)
        throw InvalidError(std::string(what) + " must be an integer from 0 to " +
                           std::to_string(max));
    return static_cast<uint64_t>(number);
}

std::string to_text(const Napi::Value &value, const char *what)
{
    if (!value.IsString())
        throw Napi::TypeError::New(value.Env(), std::string(what) + " must be a string");
    return value.As<Napi::String>().Utf8Value();
}

Napi::Object to_object(const Napi::Value &value, const char *what)
{
    if (!value.IsObject())
        throw Napi::TypeError::New(value.Env(), std::string(what) + " must be an object");
    return value.As<Napi::Object>();
}

} // namespace pageferry::binding
