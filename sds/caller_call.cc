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
  auto done = [this](const Attestation& attestation) {
    const auto& found = attestation.selectors;
    fully_known_ = attestation.complete();
    if (found) return on_caller(attestation, *found);
    call_.finish(refuse(Code::kUnavailable, kNotAttested, found.error().message, &attestation));
  };
  context_.callers.identify(call_.peer(), self_, while_open(done));
}

Status CallerCall::on_peer_changed(const Error& why) {
  if (ended_) return CallHandler::on_peer_changed(why);
  return refuse(Code::kUnavailable, kNotAttested, why.message, nullptr);
}

void CallerCall::end_without_identity(const Attestation* attestation, std::string cause) {
  if (ended_) return;
  // Upon PERMISSION_DENIED clients drop what they hold.
  call_.finish(fully_known_
                   ? refuse(Code::kPermissionDenied, kNoIdentity, std::move(cause), attestation)
                   : refuse(Code::kUnavailable, kNotFullyKnown, std::move(cause), attestation));
}

Status CallerCall::refuse(Code code, const char* words, std::string cause,
                          const Attestation* attestation) {
  const Peer& peer = *call_.peer();
  Denial denial{.method = method_, .code = code, .cause = cause};
  if (attestation) {
    denial.findings = attestation->findings;
    denial.selectors = attestation->selectors.value_or(Selectors());
  }
  std::string ref = context_.refusals.note(peer, std::move(denial));
  log::info("caller denied", {{"pid", peer.pid()},
                              {"uid", peer.uid()},
                              {"method", method_},
                              {"result", to_string(code)},
                              {"reason", words},
                              {"ref", ref},
                              {"cause", cause}});
  ended_ = true;
  on_end();
  return {code, std::string(words) + " (ref " + ref + ")"};
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
