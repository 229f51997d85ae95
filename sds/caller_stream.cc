#include "sds/caller_stream.h"

#include <utility>

namespace nodepilot {

CallerStream::CallerStream(const ApiContext& context, Call& call, const char* method,
                           Interest interest)
    : CallerCall(context, call, method), interest_(interest) {}

void CallerStream::on_caller(const Attestation& attestation, const Selectors& selectors) {
  const auto& peer = call().peer();
  if (context().on_caller && interest_ == Interest::kSvids) {
    noted_ = context().on_caller(peer, context().store.match(selectors));
  }
  subscription_ = context().store.subscribe(
      selectors, [this](const UpdatePtr& latest) { update(latest); }, interest_,
      {.pid = peer->pid(), .uid = peer->uid(), .api = method()});
  UpdatePtr first = subscription_->latest();
  if (!first->entitled) return end_without_identity(&attestation, "no rule matches");
  on_update(std::move(first));
}

void CallerStream::update(UpdatePtr latest) {
  if (!latest->entitled) return end_without_identity(nullptr, "no rule matches any more");
  on_update(std::move(latest));
}

}  // namespace nodepilot
