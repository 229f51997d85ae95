#include "sds/caller_stream.h"

#include <utility>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

class RefusedCall : public CallHandler {
 public:
  void on_message(std::string_view) override {}
  void on_half_close(Call&) override {}
};

}  // namespace

std::unique_ptr<CallHandler> refuse(Call& call, Status status) {
  call.finish(std::move(status));
  return std::make_unique<RefusedCall>();
}

CallerStream::CallerStream(const ApiContext& context, Call& call, const char* method)
    : context_(context),
      call_(call),
      method_(method),
      self_(std::make_shared<CallerStream*>(this)) {}

void CallerStream::on_half_close(Call&) { end(Status()); }

void CallerStream::attest() {
  context_.callers.identify(call_.peer(),
                            [weak = std::weak_ptr(self_)](const expected<Selectors>& found) {
                              if (auto self = weak.lock()) (*self)->attested(found);
                            });
}

void CallerStream::attested(const expected<Selectors>& found) {
  if (ended_) return;
  if (!found) {
    log::debug("workload attestation failed",
               {{"pid", call_.peer()->pid()}, {"cause", found.error().message}});
    return end(Status(Code::kUnavailable, "workload attestation failed"));
  }
  subscription_ =
      context_.store.subscribe(*found, [this](const UpdatePtr& latest) { update(latest); });
  update(subscription_->latest());
}

void CallerStream::update(UpdatePtr latest) {
  if (!latest->entitled) return end(Status(Code::kPermissionDenied, "no identity issued"));
  on_update(std::move(latest));
}

void CallerStream::opened(std::size_t identities) {
  if (std::exchange(opened_, true)) return;
  log::info("svid stream opened", {{"pid", call_.peer()->pid()},
                                   {"uid", call_.peer()->uid()},
                                   {"method", method_},
                                   {"result", to_string(Code::kOk)},
                                   {"identities", identities}});
}

void CallerStream::end(const Status& status) {
  if (std::exchange(ended_, true)) return;
  bool served = opened_ || status.code == Code::kOk;
  log::info(served ? "svid stream ended" : "svid stream denied",
            {{"pid", call_.peer()->pid()},
             {"uid", call_.peer()->uid()},
             {"method", method_},
             {"result", to_string(status.code)},
             {"reason", status.message}});
  subscription_.reset();
  call_.finish(status);
}

}  // namespace nodepilot
