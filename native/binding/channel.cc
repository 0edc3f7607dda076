// Reports of the vCPU threads for JavaScript. See channel.h.
#include "channel.h"

#include <string>

namespace pageferry::binding
{

void set_event(Napi::Object target, const Event &event, uint64_t stall_ms)
{
    Napi::Env env = target.Env();

    if (event.kind == EventKind::Fault) {
        target.Set("kind", "fault");
        target.Set("vector", static_cast<double>(event.vector));
        target.Set("errorCode", Napi::BigInt::New(env, event.error_code));
        target.Set("rip", Napi::BigInt::New(env, event.rip));
        target.Set("address", Napi::BigInt::New(env, event.cr2));
    } else if (event.kind == EventKind::Stall) {
        target.Set("kind", "stall");
        target.Set("milliseconds", static_cast<double>(stall_ms));
    } else if (event.kind == EventKind::Exit && event.error_number == 0) {
        target.Set("kind", "exit");
        target.Set("reason", static_cast<double>(event.reason));
        target.Set("name", event.name);
        target.Set("address", Napi::BigInt::New(env, event.address));
        target.Set("suberror", static_cast<double>(event.suberror));
        target.Set("rip", Napi::BigInt::New(env, event.rip));
    } else {
        target.Set("kind", "error");
        target.Set("operation", event.name);
        target.Set("errno", static_cast<double>(event.error_number));
    }
}

void deliver(napi_env raw, napi_value callback, void *context, void *data)
{
    std::unique_ptr<Message> message(static_cast<Message *>(data));
    auto *channel = static_cast<Channel *>(context);

    if (raw == nullptr || callback == nullptr)
        return;
    Napi::Env env(raw);
    try {
        Napi::Value event = env.Null();
        if (message->event.kind == EventKind::Halt) {
            // Before the callback looks at the ring: a later halt is told again.
            channel->halted[message->vcpu] = false;
        } else {
            Napi::Object object = Napi::Object::New(env);
            set_event(object, message->event, channel->stall_ms);
            event = object;
        }
        Napi::Function(env, callback).Call({Napi::Number::New(env, message->vcpu), event});
    } catch (const Napi::Error &error) {
        error.ThrowAsJavaScriptException();
    }
}

} // namespace pageferry::binding
