// A stream of what one caller may see: attests the caller, demands that some entry matches it, and
// watches the store on its behalf. Both APIs of the public socket are built on it.
#pragma once

#include <memory>

#include "rotation/identity_store.h"
#include "sds/rpc/call.h"
#include "sds/workload_api.h"

namespace nodepilot {

// Ends the call at once; what the client still sends is ignored.
std::unique_ptr<CallHandler> refuse(Call& call, Status status);

// Thread: loop.
class CallerStream : public CallHandler {
 public:
  // `method` is for log lines.
  CallerStream(const ApiContext& context, Call& call, const char* method);

  void on_half_close(Call& call) override;

 protected:
  // Identifies the caller and subscribes. A caller that cannot be identified ends the call with
  // UNAVAILABLE, one that matches no entry, now or later, with PERMISSION_DENIED.
  // on_update() may run before this returns.
  void attest();

  // What the caller may see is known, or has changed.
  virtual void on_update(UpdatePtr update) = 0;

  // Logs once that the caller is served.
  void opened(std::size_t identities);
  // Logs why, stops watching and finishes the call.
  void end(const Status& status);

  const ApiContext& context() const { return context_; }
  Call& call() { return call_; }
  bool ended() const { return ended_; }
  // Null before the caller is attested and after end().
  Subscription* subscription() { return subscription_.get(); }

 private:
  void attested(const expected<Selectors>& found);
  // By value: the subscription that holds it may end meanwhile.
  void update(UpdatePtr latest);

  const ApiContext context_;
  Call& call_;
  const char* const method_;

  std::unique_ptr<Subscription> subscription_;
  bool opened_ = false;
  bool ended_ = false;
  std::shared_ptr<CallerStream*> self_;  // an attestation may come back after our end
};

}  // namespace nodepilot
