#include "sds/caller_stream.h"

#include <utility>

namespace nodepilot {

CallerStream::CallerStream(const ApiContext& context, Call& call, const char* method,
                           Interest interest)
    : CallerCall(context, call, method), interest_(interest) {}

void CallerStream::on_caller(const Selectors& selectors) {
  if (context().on_caller && interest_ == Interest::kSvids) {
    noted_ = context().on_caller(call().peer(), context().store.match(selectors));
  }
  subscription_ = context().store.subscribe(
      selectors, [this](const UpdatePtr& latest) { update(latest); }, interest_);
  update(subscription_->latest());
}

void CallerStream::update(UpdatePtr latest) {
  if (!latest->entitled) return end(no_identity());
  on_update(std::move(latest));
}

}  // namespace nodepilot
