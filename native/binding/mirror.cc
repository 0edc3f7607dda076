// An Engine for JavaScript. See mirror.h.
#include "mirror.h"

#include <memory>
#include <mutex>
#include <optional>

#include "../engine/engine.h"
#include "../kvm/error.h"
#include "channel.h"
#include "errors.h"
#include "memory.h"

namespace pageferry::binding
{

namespace
{

using Info = const Napi::CallbackInfo &;

// The engine, shared by the object, the closing worker and the clean-up hook.
struct Runner {
    std::unique_ptr<Engine> engine;
    std::shared_ptr<Channel> channel;
    std::mutex stopping;

    // Ends the engine, not only its threads: what it holds must not wait for a garbage collection.
    void stop()
    {
        std::lock_guard<std::mutex> lock(stopping);
        engine.reset();
    }
};

class StopWorker : public Napi::AsyncWorker
{
public:
    StopWorker(Napi::Env env, std::shared_ptr<Runner> runner)
        : Napi::AsyncWorker(env), runner_(std::move(runner)),
          deferred_(Napi::Promise::Deferred::New(env))
    {
    }

    Napi::Promise promise() { return deferred_.Promise(); }

protected:
    void Execute() override
    {
        try {
            runner_->stop();
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    void OnOK() override
    {
        runner_->channel->release();
        if (failure_)
            deferred_.Reject(to_error(Env(), failure_).Value());
        else
            deferred_.Resolve(Env().Undefined());
    }

private:
    std::shared_ptr<Runner> runner_;
    Napi::Promise::Deferred deferred_;
    std::exception_ptr failure_;
};

EngineOptions read_options(const Napi::Object &from)
{
    EngineOptions options;
    auto number = [&](const char *name, uint64_t max) {
        return to_unsigned(from.Get(name), name, max);
    };

    options.vcpus = static_cast<uint32_t>(number("vcpus", PF_VCPUS_MAX));
    options.ring_entries = static_cast<uint32_t>(number("ringEntries", PF_RING_ENTRIES_MAX));
    options.window_bytes = number("windowBytes", PF_WINDOW_BYTES_MAX);
    options.ram_limit = number("ramLimitBytes", PF_RAM_LIMIT_BYTES_MAX);
    options.stall_timeout = std::chrono::milliseconds(number("stallTimeoutMs", 1u << 30));
    if (!from.Get("aesVariant").IsUndefined())
        options.aes_variant = static_cast<uint32_t>(number("aesVariant", UINT32_MAX));
    Napi::Value image = from.Get("image");
    if (image.IsBuffer()) {
        auto buffer = image.As<Napi::Buffer<uint8_t>>();
        options.image = buffer.Data();
        options.image_bytes = buffer.Length();
    } else if (!image.IsUndefined()) {
        throw Napi::TypeError::New(from.Env(), "image must be a Buffer");
    }
    return options;
}

class MirrorObject : public Napi::ObjectWrap<MirrorObject>
{
public:
    static Napi::Function define(Napi::Env env)
    {
        using Self = MirrorObject;
        return DefineClass(env, "Mirror",
                           {
                               InstanceAccessor<&Self::engine>("engine"),
                               InstanceAccessor<&Self::window>("window"),
                               InstanceAccessor<&Self::window_gpa>("windowGpa"),
                               InstanceMethod<&Self::kick>("kick"),
                               InstanceMethod<&Self::set_block>("setBlock"),
                               InstanceMethod<&Self::settle_block>("settleBlock"),
                               InstanceMethod<&Self::remove_block>("removeBlock"),
                               InstanceMethod<&Self::close>("close"),
                           });
    }

    explicit MirrorObject(Info info) : Napi::ObjectWrap<MirrorObject>(info), env_(info.Env())
    {
        guarded(info.Env(), [&] { construct(info); });
    }

    ~MirrorObject() override
    {
        if (!runner_)
            return;
        napi_remove_env_cleanup_hook(env_, environment_ends, runner_.get());
        // A closing worker, if there is one, does the rest.
        if (closed_.IsEmpty()) {
            runner_->stop();
            runner_->channel->release();
        }
    }

private:
    void construct(Info info)
    {
        Napi::Object from = to_object(info[0], "options");
        if (!info[1].IsFunction())
            throw Napi::TypeError::New(env_, "onEvent must be a function");
        name_ = to_text(from.Get("engine"), "engine");
        if (name_ != "kvm" && name_ != "in-process")
            throw InvalidError("engine must be kvm or in-process");
        EngineOptions options = read_options(from);
        check_options(options);
        auto runner = std::make_shared<Runner>();
        auto stall_ms = static_cast<uint64_t>(options.stall_timeout.count());
        runner->channel = Channel::open(env_, info[1].As<Napi::Function>(), stall_ms);
        start(*runner, options);
        vcpus_ = options.vcpus;
        runner_ = std::move(runner);
        napi_add_env_cleanup_hook(env_, environment_ends, runner_.get());
    }

    void start(Runner &runner, const EngineOptions &options)
    {
        auto report = [channel = runner.channel](uint32_t vcpu, const Event &event, uint64_t) {
            channel->report(vcpu, event);
        };
        try {
            runner.engine = name_ == "kvm" ? make_kvm_engine(options, report)
                                           : make_in_process_engine(options, report);
            runner.engine->start();
            expose_window(*runner.engine);
        } catch (const StartError &error) {
            runner.stop();
            runner.channel->release();
            Napi::Error made = Napi::Error::New(env_, error.what());
            set_event(made.Value(), error.event(), runner.channel->stall_ms);
            made.Set("code", Napi::String::New(env_, "ERR_PAGEFERRY_MIRROR_START"));
            made.Set("vcpu", Napi::Number::New(env_, error.vcpu()));
            throw made;
        } catch (...) {
            runner.stop();
            runner.channel->release();
            throw;
        }
    }

    void expose_window(const Engine &engine)
    {
        auto kept = std::make_unique<std::shared_ptr<Mapping>>(engine.window());
        auto forget = [](Napi::Env, void *, std::shared_ptr<Mapping> *held) { delete held; };
        auto buffer =
            Napi::ArrayBuffer::New(env_, (*kept)->data(), (*kept)->size(), forget, kept.get());

        kept.release(); // the buffer's from here on
        window_ = Napi::Persistent(buffer);
        window_gpa_ = engine.window_gpa();
    }

    // Runs before the thread-safe function's own hook, which was added earlier.
    static void environment_ends(void *data)
    {
        auto *runner = static_cast<Runner *>(data);

        runner->stop();
        runner->channel->abandon();
    }

    Engine &open_engine()
    {
        if (!closed_.IsEmpty())
            throw InvalidError("the mirror is closed");
        return *runner_->engine;
    }

    Napi::Value engine(Info info) { return Napi::String::New(info.Env(), name_); }
    Napi::Value window(Info) { return window_.Value(); }
    Napi::Value window_gpa(Info info) { return Napi::BigInt::New(info.Env(), window_gpa_); }

    // Without effect once closed, as on a dead engine. The engine lives until then.
    void kick(Info info)
    {
        guarded(info.Env(), [&] {
            auto vcpu = static_cast<uint32_t>(to_unsigned(info[0], "vcpu", vcpus_ - 1));
            if (closed_.IsEmpty())
                runner_->engine->kick(vcpu);
        });
    }

    void set_block(Info info)
    {
        guarded(info.Env(), [&] {
            Napi::Object from = to_object(info[0], "block");
            Block block;
            auto bytes = [&](const char *name) {
                return to_unsigned(from.Get(name), name, PF_RAM_LIMIT_BYTES_MAX);
            };
            block.id = static_cast<uint32_t>(to_unsigned(from.Get("id"), "id", UINT32_MAX));
            block.memory = memory_of(from.Get("memory"));
            block.memory_offset = bytes("memoryOffset");
            block.ram_address = bytes("ramAddr");
            block.bytes = bytes("bytes");
            before_ = open_engine().set_block(block);
            changed_ = block.id;
        });
    }

    void settle_block(Info info)
    {
        guarded(info.Env(), [&] {
            if (!changed_)
                throw InvalidError("there is no change of a block to settle");
            bool is_kept = info[0].ToBoolean();
            if (!is_kept && before_)
                open_engine().set_block(*before_);
            else if (!is_kept)
                open_engine().remove_block(*changed_);
            forget_change();
        });
    }

    void forget_change()
    {
        before_.reset();
        changed_.reset();
    }

    void remove_block(Info info)
    {
        guarded(info.Env(), [&] {
            auto id = static_cast<uint32_t>(to_unsigned(info[0], "id", UINT32_MAX));
            open_engine().remove_block(id);
            forget_change();
        });
    }

    Napi::Value close(Info info)
    {
        if (closed_.IsEmpty()) {
            forget_change();
            auto *worker = new StopWorker(info.Env(), runner_);
            closed_ = Napi::Persistent(worker->promise().As<Napi::Object>());
            worker->Queue();
        }
        return closed_.Value();
    }

    Napi::Env env_;
    std::string name_;
    uint32_t vcpus_ = 0;
    std::shared_ptr<Runner> runner_;
    Napi::Reference<Napi::ArrayBuffer> window_;
    uint64_t window_gpa_ = 0;
    Napi::ObjectReference closed_; // the promise of close
    // The last set_block, until it is settled: which block, and what was there before.
    std::optional<uint32_t> changed_;
    std::optional<Block> before_;
};

} // namespace

Napi::Object InitMirror(Napi::Env env, Napi::Object exports)
{
    exports.Set("Mirror", MirrorObject::define(env));
    return exports;
}

} // namespace pageferry::binding
