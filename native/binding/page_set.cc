// PageSet for JavaScript. See page_set.h.
#include "page_set.h"

#include "../abi/record.h"
#include "../kvm/error.h"
#include "errors.h"
#include "memory.h"

namespace pageferry::binding
{

namespace
{

constexpr napi_type_tag page_set_tag = {0x9d1c65b3a70f4e21, 0x8b52c3f60e7ad914};
constexpr uint64_t pages_max = PF_RAM_LIMIT_BYTES_MAX >> PF_PAGE_SHIFT;

class PageSetObject : public Napi::ObjectWrap<PageSetObject>
{
public:
    static Napi::Function define(Napi::Env env)
    {
        using Self = PageSetObject;
        return DefineClass(env, "PageSet",
                           {
                               InstanceAccessor<&Self::count>("count"),
                               InstanceAccessor<&Self::holes>("holes"),
                               InstanceAccessor<&Self::last_data_pages>("lastDataPages"),
                               InstanceAccessor<&Self::last_pages>("lastPages"),
                               InstanceMethod<&Self::add_range>("addRange"),
                               InstanceMethod<&Self::add_memory>("addMemory"),
                               InstanceMethod<&Self::clear>("clear"),
                               InstanceMethod<&Self::fill>("fill"),
                               InstanceMethod<&Self::fill_chunks>("fillChunks"),
                           });
    }

    explicit PageSetObject(const Napi::CallbackInfo &info)
        : Napi::ObjectWrap<PageSetObject>(info), set_(guarded(info.Env(), [&] {
              return PageSet(to_unsigned(info[0], "pages", pages_max));
          }))
    {
        info.This().As<Napi::Object>().TypeTag(&page_set_tag);
    }

    PageSet &set() { return set_; }

private:
    using Info = const Napi::CallbackInfo &;
    using Filler = uint32_t (PageSet::*)(uint64_t *, uint32_t, uint32_t);

    static Napi::Value number(Info info, uint64_t value)
    {
        return Napi::Number::New(info.Env(), static_cast<double>(value));
    }

    Napi::Value count(Info info) { return number(info, set_.count()); }
    Napi::Value holes(Info info) { return number(info, set_.holes()); }
    Napi::Value last_data_pages(Info info) { return number(info, set_.last_data_pages()); }
    Napi::Value last_pages(Info info) { return number(info, set_.last_pages()); }

    void add_range(Info info)
    {
        guarded(info.Env(), [&] {
            uint64_t first = to_unsigned(info[0], "firstPage", pages_max);
            set_.add_range(first, to_unsigned(info[1], "pages", pages_max));
        });
    }

    void add_memory(Info info)
    {
        guarded(info.Env(), [&] {
            std::shared_ptr<GuestMemory> memory = memory_of(info[0]);
            uint64_t offset = to_unsigned(info[1], "memoryOffset", PF_RAM_LIMIT_BYTES_MAX);
            uint64_t first = to_unsigned(info[2], "firstPage", pages_max);
            set_.add_memory(*memory, offset, first, to_unsigned(info[3], "pages", pages_max));
        });
    }

    void clear(Info) { set_.clear(); }
    Napi::Value fill(Info info) { return fill_with(info, &PageSet::fill); }
    Napi::Value fill_chunks(Info info) { return fill_with(info, &PageSet::fill_chunks); }

    Napi::Value fill_with(Info info, Filler filler)
    {
        return guarded(info.Env(), [&] {
            if (!info[0].IsArrayBuffer())
                throw Napi::TypeError::New(info.Env(), "target must be an ArrayBuffer");
            auto target = info[0].As<Napi::ArrayBuffer>();
            uint64_t offset = to_unsigned(info[1], "byteOffset", PF_WINDOW_BYTES_MAX);
            uint64_t pages = to_unsigned(info[2], "maxDataPages", PF_RECORD_PAGES_MAX);
            uint64_t runs = to_unsigned(info[3], "maxRuns", PF_RECORD_PAGES_MAX);
            auto *start = static_cast<uint8_t *>(target.Data());
            if (offset > target.ByteLength() || runs > (target.ByteLength() - offset) / 8 ||
                reinterpret_cast<uintptr_t>(start + offset) % 8 != 0)
                throw InvalidError("the runs do not fit the target, or are not aligned");
            uint32_t used =
                (set_.*filler)(reinterpret_cast<uint64_t *>(start + offset),
                               static_cast<uint32_t>(pages), static_cast<uint32_t>(runs));
            return number(info, used);
        });
    }

    PageSet set_;
};

} // namespace

PageSet &page_set_of(const Napi::Value &value)
{
    if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&page_set_tag))
        throw Napi::TypeError::New(value.Env(), "a PageSet is needed here");
    return PageSetObject::Unwrap(value.As<Napi::Object>())->set();
}

Napi::Object InitPageSet(Napi::Env env, Napi::Object exports)
{
    exports.Set("PageSet", PageSetObject::define(env));
    return exports;
}

} // namespace pageferry::binding
