/*
 * What: one owned file descriptor.
 * Who: the holder closes it by going away; movable, never copied. Always opened with CLOEXEC.
 */
#ifndef PAGEFERRY_KVM_FD_H
#define PAGEFERRY_KVM_FD_H

#include <unistd.h>
#include <utility>

namespace pageferry
{

class Fd
{
public:
    Fd() = default;
    explicit Fd(int number) : number_(number) {}
    Fd(Fd &&other) noexcept : number_(std::exchange(other.number_, -1)) {}
    Fd &operator=(Fd &&other) noexcept
    {
        if (this != &other) {
            reset();
            number_ = std::exchange(other.number_, -1);
        }
        return *this;
    }
    Fd(const Fd &) = delete;
    Fd &operator=(const Fd &) = delete;
    ~Fd() { reset(); }

    int get() const { return number_; }
    explicit operator bool() const { return number_ >= 0; }

    void reset()
    {
        if (number_ >= 0)
            ::close(number_);
        number_ = -1;
    }

private:
    int number_ = -1;
};

} // namespace pageferry

#endif
