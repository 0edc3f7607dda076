// The addon's class DemoGuest. See demo_guest.h.
#include "binding/demo_guest.h"

#include <cmath>
#include <exception>
#include <functional>
#include <memory>
#include <string>

#include "binding/errors.h"
#include "binding/memory.h"
#include "binding/page_set.h"
#include "demo/demo_guest.h"
#include "kvm/error.h"

namespace pageferry::binding
{

namespace
{

using demo::DemoGuest;

// Runs `work` on a worker and settles a promise with its outcome.
class Task final : public Napi::AsyncWorker
{
public:
    using Work = std::function<pf_demo_result(DemoGuest &)>;
    using Done = std::function<void()>;

    Task(Napi::Env env, std::shared_ptr<DemoGuest> guest, bool with_result, Work work)
        : Napi::AsyncWorker(env, "pageferry:demo"), deferred_(Napi::Promise::Deferred::New(env)),
          guest_(std::move(guest)), with_result_(with_result), work_(std::move(work))
    {
    }

    // Called on the JavaScript thread before the promise is fulfilled.
    void on_done(Done done) { done_ = std::move(done); }

    Napi::Promise promise() const { return deferred_.Promise(); }

    void Execute() override
    {
        try {
            result_ = work_(*guest_);
        } catch (const std::exception &error) {
            failure_ = std::current_exception();
            SetError(error.what());
        }
    }

    void OnOK() override
    {
        Napi::HandleScope scope(Env());

        guest_.reset();
        if (done_)
            done_();
        if (!with_result_) {
            deferred_.Resolve(Env().Undefined());
            return;
        }
        Napi::Object object = Napi::Object::New(Env());
        object.Set("ok", Napi::Boolean::New(Env(), result_.bad == 0));
        object.Set("pagesChecked", Napi::Number::New(Env(), static_cast<double>(result_.pages)));
        object.Set("badPages", Napi::Number::New(Env(), static_cast<double>(result_.bad)));
        deferred_.Resolve(object);
    }

    void OnError(const Napi::Error &) override
    {
        Napi::HandleScope scope(Env());

        deferred_.Reject(to_error(Env(), failure_).Value());
    }

private:
    Napi::Promise::Deferred deferred_;
    std::shared_ptr<DemoGuest> guest_;
    bool with_result_;
    Work work_;
    Done done_;
    pf_demo_result result_ = {};
    std::exception_ptr failure_;
};

uint64_t whole(const Napi::Object &options, const char *name)
{
    Napi::Value value = options.Get(name);
    double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;

    if (!(number >= 0 && number <= 9007199254740991.0) || std::floor(number) != number)
        throw Napi::TypeError::New(options.Env(), std::string(name) + " is no whole number");
    return static_cast<uint64_t>(number);
}

std::string text(const Napi::Object &options, const char *name)
{
    Napi::Value value = options.Get(name);

    if (!value.IsString())
        throw Napi::TypeError::New(options.Env(), std::string(name) + " is no string");
    return value.As<Napi::String>().Utf8Value();
}

demo::Options parse(const Napi::Object &object)
{
    static const char *const contents[] = {"mixed", "random", "text", "marker"};
    demo::Options options;
    std::string backend = text(object, "backend");
    std::string content = text(object, "content");

    if (backend != "kvm" && backend != "in-process")
        throw Napi::TypeError::New(object.Env(), "backend is neither kvm nor in-process");
    options.backend = backend == "kvm" ? demo::Backend::Kvm : demo::Backend::InProcess;
    options.content = UINT32_MAX;
    for (uint32_t i = 0; i < 4; i++) {
        if (content == contents[i])
            options.content = i;
    }
    if (options.content == UINT32_MAX)
        throw Napi::TypeError::New(object.Env(), "content is not known");
    options.rate = whole(object, "dirtyRate");
    options.working_set_bytes = whole(object, "workingSetBytes");
    options.fill_bytes = whole(object, "fillBytes");
    options.seed = whole(object, "seed");
    options.blank = object.Get("blank").ToBoolean().Value();
    return options;
}

class DemoGuestObject final : public Napi::ObjectWrap<DemoGuestObject>
{
public:
    static Napi::Function define(Napi::Env env)
    {
        using Self = DemoGuestObject;
        return DefineClass(
            env, "DemoGuest",
            {
                InstanceMethod("start", &Self::start),
                InstanceMethod("pause", &Self::pause),
                InstanceMethod("resume", &Self::resume),
                InstanceAccessor("ticks", &Self::ticks, nullptr),
                InstanceAccessor("longestGapMs", &Self::longest_gap_ms, nullptr),
                InstanceAccessor("longestGapAtMs", &Self::longest_gap_at_ms, nullptr),
                InstanceMethod("markGap", &Self::mark_gap),
                InstanceMethod("throttle", &Self::throttle),
                InstanceMethod("startDirtyLog", &Self::start_dirty_log),
                InstanceMethod("collectDirty", &Self::collect_dirty),
                InstanceMethod("stopDirtyLog", &Self::stop_dirty_log),
                InstanceMethod("saveState", &Self::save_state),
                InstanceMethod("loadState", &Self::load_state),
                InstanceMethod("selfCheck", &Self::self_check),
                InstanceMethod("close", &Self::close),
            });
    }

    explicit DemoGuestObject(const Napi::CallbackInfo &info)
        : Napi::ObjectWrap<DemoGuestObject>(info)
    {
        if (info.Length() < 1 || !info[0].IsObject())
            throw Napi::TypeError::New(info.Env(), "DemoGuest needs its options");
        Napi::Object object = info[0].As<Napi::Object>();
        demo::Options options = parse(object);
        std::shared_ptr<GuestMemory> memory = memory_of(object.Get("memory"));
        guest_ = guarded(info.Env(), [&] { return std::make_shared<DemoGuest>(memory, options); });
    }

private:
    // The guest; throws when it is closed.
    const std::shared_ptr<DemoGuest> &guest(Napi::Env env) const
    {
        guarded(env, [this] {
            if (guest_ == nullptr)
                throw InvalidError("the demo guest is closed");
        });
        return guest_;
    }

    Napi::Value run(Napi::Env env, bool with_result, Task::Work work, Task::Done done = nullptr)
    {
        auto *task = new Task(env, guest(env), with_result, std::move(work));
        Napi::Promise promise = task->promise();
        task->on_done(std::move(done));

        task->Queue();
        return promise;
    }

    Napi::Value start(const Napi::CallbackInfo &info)
    {
        return run(info.Env(), false, [](DemoGuest &guest) {
            guest.start();
            return pf_demo_result{};
        });
    }

    Napi::Value pause(const Napi::CallbackInfo &info)
    {
        return run(info.Env(), false, [](DemoGuest &guest) {
            guest.pause();
            return pf_demo_result{};
        });
    }

    // Lets the guest go at once: nobody knows when this object will be collected, and the guest
    // holds its RAM and its VM.
    Napi::Value close(const Napi::CallbackInfo &info)
    {
        if (guest_ == nullptr) {
            auto closed = Napi::Promise::Deferred::New(info.Env());
            closed.Resolve(info.Env().Undefined());
            return closed.Promise();
        }
        auto self = std::make_shared<Napi::ObjectReference>(
            Napi::Persistent(info.This().As<Napi::Object>()));
        auto work = [](DemoGuest &guest) {
            guest.close();
            return pf_demo_result{};
        };
        return run(info.Env(), false, work, [this, self] { guest_.reset(); });
    }

    Napi::Value self_check(const Napi::CallbackInfo &info)
    {
        return run(info.Env(), true, [](DemoGuest &guest) { return guest.self_check(); });
    }

    void resume(const Napi::CallbackInfo &info)
    {
        guarded(info.Env(), [&] { guest(info.Env())->resume(); });
    }

    Napi::Value ticks(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), static_cast<double>(guest(info.Env())->ticks()));
    }

    Napi::Value longest_gap_ms(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), guest(info.Env())->longest_gap().ms);
    }

    Napi::Value longest_gap_at_ms(const Napi::CallbackInfo &info)
    {
        return Napi::Number::New(info.Env(), guest(info.Env())->longest_gap().at_ms);
    }

    void mark_gap(const Napi::CallbackInfo &info)
    {
        guarded(info.Env(), [&] { guest(info.Env())->mark_gap(); });
    }

    void throttle(const Napi::CallbackInfo &info)
    {
        guarded(info.Env(), [&] {
            uint64_t percent = to_unsigned(info[0], "percent", 99);
            guest(info.Env())->set_throttle(static_cast<uint32_t>(percent));
        });
    }

    void start_dirty_log(const Napi::CallbackInfo &info)
    {
        guarded(info.Env(), [&] { guest(info.Env())->start_dirty_log(); });
    }

    void collect_dirty(const Napi::CallbackInfo &info)
    {
        PageSet &into = page_set_of(info[0]);
        double first = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : -1;

        if (!(first >= 0 && first <= 9007199254740991.0))
            throw Napi::TypeError::New(info.Env(), "firstPage is no page number");
        guarded(info.Env(), [&] {
            std::vector<uint64_t> bits;
            guest(info.Env())->collect_dirty(bits);
            into.merge(static_cast<uint64_t>(first), bits.data(), guest(info.Env())->pages());
        });
    }

    void stop_dirty_log(const Napi::CallbackInfo &info)
    {
        guarded(info.Env(), [&] { guest(info.Env())->stop_dirty_log(); });
    }

    Napi::Value save_state(const Napi::CallbackInfo &info)
    {
        std::vector<uint8_t> state =
            guarded(info.Env(), [&] { return guest(info.Env())->save_state(); });

        return Napi::Buffer<uint8_t>::Copy(info.Env(), state.data(), state.size());
    }

    void load_state(const Napi::CallbackInfo &info)
    {
        if (info.Length() < 1 || !info[0].IsTypedArray())
            throw Napi::TypeError::New(info.Env(), "the state is no Uint8Array");
        Napi::Uint8Array state = info[0].As<Napi::Uint8Array>();
        guarded(info.Env(),
                [&] { guest(info.Env())->load_state(state.Data(), state.ByteLength()); });
    }

    std::shared_ptr<DemoGuest> guest_;
};

} // namespace

Napi::Object InitDemoGuest(Napi::Env env, Napi::Object exports)
{
    exports.Set("DemoGuest", DemoGuestObject::define(env));
    return exports;
}

} // namespace pageferry::binding
