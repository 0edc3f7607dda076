/*
 * What: the exceptions of native/kvm, native/engine and native/memory: a failed operation with
 * its errno and the system call or ioctl that gave it.
 * Who: thrown on the thread of the caller; native/binding turns them into JavaScript errors.
 */
#ifndef PAGEFERRY_KVM_ERROR_H
#define PAGEFERRY_KVM_ERROR_H

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace pageferry
{

// A system call failed. `operation` says what for ("create the mirror VM"), `call` names it.
class SystemError : public std::runtime_error
{
public:
    SystemError(const std::string &operation, const char *call, int error_number)
        : std::runtime_error("cannot " + operation + ": " + call + ": " + describe(error_number)),
          operation_(operation), call_(call), error_number_(error_number)
    {
    }

    const std::string &operation() const { return operation_; }
    const char *call() const { return call_; }
    int error_number() const { return error_number_; }

private:
    // strerror is not thread-safe by the letter; the GNU strerror_r is.
    static std::string describe(int error_number)
    {
        char buffer[128];

        return strerror_r(error_number, buffer, sizeof buffer);
    }

    std::string operation_;
    const char *call_;
    int error_number_;
};

// An argument, image or state is not acceptable; no system call was involved.
class InvalidError : public std::runtime_error
{
public:
    explicit InvalidError(const std::string &message) : std::runtime_error(message) {}
};

} // namespace pageferry

#endif
