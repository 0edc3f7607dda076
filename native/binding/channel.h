/*
 * What: the way of an engine's reports from the vCPU threads to JavaScript's onEvent, and events
 * as JavaScript objects.
 * Who: report on any thread while the engine runs, everything else on the JavaScript thread.
 */
#ifndef PAGEFERRY_BINDING_CHANNEL_H
#define PAGEFERRY_BINDING_CHANNEL_H

#include <array>
#include <atomic>
#include <memory>
#include <napi.h>

#include "../engine/engine.h"

namespace pageferry::binding
{

class Channel;

struct Message {
    uint32_t vcpu;
    Event event;
};

// Calls onEvent; a napi_threadsafe_function_call_js.
void deliver(napi_env env, napi_value callback, void *channel, void *message);

// Sets the fields of a NativeMirrorEvent.
void set_event(Napi::Object target, const Event &event, uint64_t stall_ms);

// Halts of one vCPU that JavaScript has not yet seen are told once.
class Channel
{
public:
    static std::shared_ptr<Channel> open(Napi::Env env, Napi::Function callback, uint64_t stall)
    {
        auto channel = std::make_shared<Channel>();
        auto *kept = new std::shared_ptr<Channel>(channel);
        auto forget = [](napi_env, void *held, void *) {
            delete static_cast<std::shared_ptr<Channel> *>(held);
        };

        // Not Napi::TypedThreadSafeFunction: its templates compare a function's address with
        // null in a constant expression, which -fno-delete-null-pointer-checks rules out.
        channel->stall_ms = stall;
        napi_status status = napi_create_threadsafe_function(
            env, callback, nullptr, Napi::String::New(env, "pageferry mirror"), 0, 1, kept, forget,
            channel.get(), deliver, &channel->function_);
        if (status != napi_ok) {
            delete kept;
            throw Napi::Error::New(env, "cannot make the mirror's thread-safe function");
        }
        napi_unref_threadsafe_function(env, channel->function_);
        return channel;
    }

    // Any thread, until the engine has stopped.
    void report(uint32_t vcpu, const Event &event)
    {
        if (event.kind == EventKind::Stopped)
            return;
        if (event.kind == EventKind::Halt && halted[vcpu].exchange(true))
            return;
        auto *message = new Message{vcpu, event};
        if (napi_call_threadsafe_function(function_, message, napi_tsfn_nonblocking) != napi_ok)
            delete message;
    }

    // After the engine has stopped; JavaScript thread.
    void release()
    {
        if (!released_.exchange(true))
            napi_release_threadsafe_function(function_, napi_tsfn_release);
    }

    // The environment ends and takes the function with it.
    void abandon() { released_ = true; }

    std::array<std::atomic<bool>, PF_VCPUS_MAX> halted{};
    uint64_t stall_ms = 0;

private:
    napi_threadsafe_function function_ = nullptr;
    std::atomic<bool> released_{false};
};

} // namespace pageferry::binding

#endif
