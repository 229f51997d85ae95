#include "sds/caller_call.h"

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

CallerCall::CallerCall(const ApiContext& context, Call& call, const char* method)
    : context_(context), call_(call), method_(method), self_(std::make_shared<CallerCall*>(this)) {}

void CallerCall::on_half_close(Call&) { end(Status()); }

void CallerCall::identify() {
  auto done = [this](const expected<Attested>& found) {
    if (!found) {
      log::debug("workload attestation failed",
                 {{"pid", call_.peer()->pid()}, {"cause", found.error().message}});
      return end(Status(Code::kUnavailable, "workload attestation failed"));
    }
    fully_known_ = found->complete;
    on_caller(found->selectors);
  };
  context_.callers.identify(call_.peer(), self_, while_open(done));
}

Status CallerCall::no_identity() const {
  if (fully_known_) return Status(Code::kPermissionDenied, "no identity issued");
  return Status(Code::kUnavailable, "workload attestation is incomplete");
}

void CallerCall::served(std::size_t identities) {
  if (std::exchange(served_, true)) return;
  log::info("caller served", {{"pid", call_.peer()->pid()},
                              {"uid", call_.peer()->uid()},
                              {"method", method_},
                              {"result", to_string(Code::kOk)},
                              {"identities", identities}});
}

void CallerCall::end(const Status& status) {
  if (std::exchange(ended_, true)) return;
  bool good = served_ || status.code == Code::kOk;
  log::info(good ? "call ended" : "caller denied", {{"pid", call_.peer()->pid()},
                                                    {"uid", call_.peer()->uid()},
                                                    {"method", method_},
                                                    {"result", to_string(status.code)},
                                                    {"reason", status.message}});
  on_end();
  call_.finish(status);
}

}  // namespace nodepilot
