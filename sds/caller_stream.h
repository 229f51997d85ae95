// A stream of what one caller may see: demands that some entry matches the caller, and watches the
// store on its behalf. Both APIs of the public socket are built on it.
#pragma once

#include <memory>

#include "rotation/identity_store.h"
#include "sds/caller_call.h"

namespace nodepilot {

// Thread: loop.
class CallerStream : public CallerCall {
 public:
  // `method` is for log lines.
  CallerStream(const ApiContext& context, Call& call, const char* method,
               Interest interest = Interest::kSvids);

 protected:
  // What the caller may see is known, or has changed. A caller that matches no entry ends the call
  // as end_without_identity() says instead.
  virtual void on_update(UpdatePtr update) = 0;

  // Null before the caller is identified and after the end.
  Subscription* subscription() { return subscription_.get(); }

 private:
  void on_caller(const Attestation& attestation, const Selectors& selectors) override;
  void on_end() override {
    subscription_.reset();
    noted_.reset();
  }
  // By value: the subscription that holds it may end meanwhile.
  void update(UpdatePtr latest);

  const Interest interest_;
  std::shared_ptr<void> noted_;  // that on_caller() gave
  std::unique_ptr<Subscription> subscription_;
};

}  // namespace nodepilot
