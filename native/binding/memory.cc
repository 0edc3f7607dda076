// GuestMemory for JavaScript. See memory.h.
#include "memory.h"

#include <cerrno>
#include <climits>
#include <cstring>
#include <fcntl.h>

#include "../abi/limits.h"
#include "../kvm/error.h"
#include "errors.h"

namespace pageferry::binding
{

namespace
{

using Info = const Napi::CallbackInfo &;
using Shared = std::shared_ptr<GuestMemory>;

constexpr napi_type_tag memory_tag = {0x4e0b7a92c8d1f356, 0xa6137bd25c90e48f};
// Longest read: tests and metadata only (addon.ts).
constexpr uint64_t read_bytes_max = 1ull << 30;

class PrefaultWorker : public Napi::AsyncWorker
{
public:
    PrefaultWorker(Napi::Env env, Shared memory, uint64_t offset, uint64_t bytes)
        : Napi::AsyncWorker(env), memory_(std::move(memory)), offset_(offset), bytes_(bytes),
          deferred_(Napi::Promise::Deferred::New(env))
    {
    }

    Napi::Promise promise() { return deferred_.Promise(); }

protected:
    void Execute() override
    {
        try {
            memory_->prefault(offset_, bytes_);
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    void OnOK() override
    {
        if (failure_)
            deferred_.Reject(to_error(Env(), failure_).Value());
        else
            deferred_.Resolve(Env().Undefined());
    }

private:
    Shared memory_;
    uint64_t offset_;
    uint64_t bytes_;
    Napi::Promise::Deferred deferred_;
    std::exception_ptr failure_;
};

class MemoryObject : public Napi::ObjectWrap<MemoryObject>
{
public:
    static Napi::Function define(Napi::Env env)
    {
        using Self = MemoryObject;
        return DefineClass(env, "Memory",
                           {
                               InstanceAccessor<&Self::bytes>("bytes"),
                               InstanceAccessor<&Self::fd>("fd"),
                               InstanceAccessor<&Self::backing>("backing"),
                               InstanceMethod<&Self::read>("read"),
                               InstanceMethod<&Self::write>("write"),
                               InstanceMethod<&Self::prefault>("prefault"),
                               InstanceMethod<&Self::filled_pieces>("filledPieces"),
                               InstanceMethod<&Self::allocated_bytes>("allocatedBytes"),
                               InstanceMethod<&Self::huge_bytes>("hugeBytes"),
                               InstanceMethod<&Self::close>("close"),
                           });
    }

    explicit MemoryObject(Info info) : Napi::ObjectWrap<MemoryObject>(info)
    {
        if (!info[0].IsExternal())
            throw Napi::TypeError::New(info.Env(), "use Memory.create or Memory.open");
        memory_ = *info[0].As<Napi::External<Shared>>().Data();
        info.This().As<Napi::Object>().TypeTag(&memory_tag);
    }

    Shared memory() const
    {
        if (!memory_)
            throw InvalidError("the memory is closed");
        return memory_;
    }

private:
    static Napi::Value number(Info info, uint64_t value)
    {
        return Napi::Number::New(info.Env(), static_cast<double>(value));
    }

    Napi::Value bytes(Info info)
    {
        return guarded(info.Env(), [&] { return number(info, memory()->bytes()); });
    }

    Napi::Value fd(Info info)
    {
        return guarded(info.Env(), [&]() -> Napi::Value {
            return Napi::Number::New(info.Env(), memory()->fd());
        });
    }

    Napi::Value backing(Info info)
    {
        return guarded(info.Env(), [&]() -> Napi::Value {
            Backing backing = memory()->backing();
            const char *name = backing == Backing::Huge          ? "huge"
                               : backing == Backing::Transparent ? "transparent"
                                                                 : "small";
            return Napi::String::New(info.Env(), name);
        });
    }

    // The offset, when [offset, offset + bytes) lies inside.
    uint64_t checked(const Napi::Value &offset, uint64_t bytes)
    {
        Shared shared = memory();
        uint64_t at = to_unsigned(offset, "offset", shared->bytes());

        if (bytes > shared->bytes() - at)
            throw InvalidError("beyond the end of the memory");
        return at;
    }

    Napi::Value read(Info info)
    {
        return guarded(info.Env(), [&]() -> Napi::Value {
            uint64_t length = to_unsigned(info[1], "length", read_bytes_max);
            Shared shared = memory();
            uint64_t at = checked(info[0], length);
            auto out = Napi::Buffer<uint8_t>::New(info.Env(), length);
            shared->read(at, out.Data(), length);
            return out;
        });
    }

    void write(Info info)
    {
        guarded(info.Env(), [&] {
            if (!info[1].IsTypedArray() ||
                info[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
                throw Napi::TypeError::New(info.Env(), "data must be a Uint8Array");
            auto data = info[1].As<Napi::Uint8Array>();
            uint8_t *to = memory()->data() + checked(info[0], data.ByteLength());
            if (data.ByteLength() > 0)
                std::memcpy(to, data.Data(), data.ByteLength());
        });
    }

    Napi::Value prefault(Info info)
    {
        return guarded(info.Env(), [&]() -> Napi::Value {
            Shared shared = memory();
            uint64_t offset = 0, bytes = shared->bytes();
            if (!info[0].IsUndefined()) {
                bytes = to_unsigned(info[1], "length", shared->bytes());
                offset = checked(info[0], bytes);
            }
            if ((offset | bytes) % PF_PAGE_BYTES != 0)
                throw InvalidError("offset and length must be multiples of the page size");
            auto *worker = new PrefaultWorker(info.Env(), shared, offset, bytes);
            Napi::Promise promise = worker->promise();
            worker->Queue();
            return promise;
        });
    }

    Napi::Value filled_pieces(Info info)
    {
        return guarded(info.Env(), [&]() -> Napi::Value {
            uint64_t bytes = to_unsigned(info[1], "length", memory()->bytes());
            uint64_t offset = checked(info[0], bytes);
            auto most = static_cast<size_t>(to_unsigned(info[2], "runs", UINT32_MAX));
            Napi::Array out = Napi::Array::New(info.Env());
            for (const Run &run : memory()->filled_pieces(offset, bytes, most)) {
                Napi::Object each = Napi::Object::New(info.Env());
                each["first"] = number(info, run.first);
                each["count"] = number(info, run.count);
                out[out.Length()] = each;
            }
            return out;
        });
    }

    Napi::Value allocated_bytes(Info info)
    {
        return guarded(info.Env(), [&] { return number(info, memory()->allocated_bytes()); });
    }

    Napi::Value huge_bytes(Info info)
    {
        return guarded(info.Env(), [&] { return number(info, memory()->huge_bytes()); });
    }

    void close(Info) { memory_.reset(); }

    Shared memory_;
};

uint64_t size_option(const Napi::Object &options)
{
    uint64_t bytes = to_unsigned(options.Get("bytes"), "bytes", PF_RAM_LIMIT_BYTES_MAX);

    if (bytes == 0 || bytes % PF_PAGE_BYTES != 0)
        throw InvalidError("bytes must be a positive multiple of 4096");
    return bytes;
}

Shared create(const Napi::Object &options)
{
    std::string name = to_text(options.Get("name"), "name");
    std::string pages = to_text(options.Get("hugePages"), "hugePages");
    HugePages huge_pages;

    if (pages == "auto")
        huge_pages = HugePages::Auto;
    else if (pages == "never")
        huge_pages = HugePages::Never;
    else if (pages == "require")
        huge_pages = HugePages::Require;
    else
        throw InvalidError("hugePages must be auto, never or require");
    return GuestMemory::create(name, size_option(options), huge_pages);
}

Shared open(const Napi::Object &options)
{
    uint64_t bytes = size_option(options);
    Napi::Value offset_value = options.Get("offset");
    uint64_t offset = 0;

    if (!offset_value.IsUndefined())
        offset = to_unsigned(offset_value, "offset", 1ull << 52);
    if (offset % PF_PAGE_BYTES != 0)
        throw InvalidError("offset must be a multiple of 4096");
    Napi::Value number = options.Get("fd");
    if (number.IsUndefined()) {
        std::string path = to_text(options.Get("path"), "path");
        Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
        if (!fd)
            throw SystemError("open guest memory " + path, "open", errno);
        return GuestMemory::open(std::move(fd), offset, bytes);
    }
    // The caller keeps its own.
    Fd fd(::fcntl(static_cast<int>(to_unsigned(number, "fd", INT_MAX)), F_DUPFD_CLOEXEC, 0));
    if (!fd)
        throw SystemError("open guest memory", "fcntl", errno);
    return GuestMemory::open(std::move(fd), offset, bytes);
}

Napi::Function factory(Napi::Env env, std::shared_ptr<Napi::FunctionReference> constructor,
                       const char *name, Shared (*make)(const Napi::Object &))
{
    auto call = [constructor, make](Info info) -> Napi::Value {
        return guarded(info.Env(), [&]() -> Napi::Value {
            Shared memory = make(to_object(info[0], "options"));
            return constructor->New({Napi::External<Shared>::New(info.Env(), &memory)});
        });
    };
    return Napi::Function::New(env, call, name);
}

} // namespace

std::shared_ptr<GuestMemory> memory_of(const Napi::Value &value)
{
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&memory_tag))
        throw Napi::TypeError::New(value.Env(), "a Memory is needed here");
    return MemoryObject::Unwrap(value.As<Napi::Object>())->memory();
}

Napi::Object InitMemory(Napi::Env env, Napi::Object exports)
{
    auto constructor =
        std::make_shared<Napi::FunctionReference>(Napi::Persistent(MemoryObject::define(env)));
    constructor->SuppressDestruct();
    Napi::Object memory = Napi::Object::New(env);

    memory.Set("create", factory(env, constructor, "create", create));
    memory.Set("open", factory(env, constructor, "open", open));
    exports.Set("Memory", memory);
    return exports;
}

} // namespace pageferry::binding
