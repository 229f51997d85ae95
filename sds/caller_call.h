// A call of somebody on the public socket: finds out who that is, and says in the log how the call
// went. Every method that hands something out by identity is built on it.
#pragma once

#include <memory>

#include "sds/rpc/call.h"
#include "sds/workload_api.h"

namespace nodepilot {

// "no identity issued (ref 7f3a91)": the words are those that clients know from SPIRE, and all that
// a caller learns.
inline constexpr const char* kNoIdentity = "no identity issued";
inline constexpr const char* kNotFullyKnown = "workload attestation is incomplete";
inline constexpr const char* kNotAttested = "workload attestation failed";

// Ends the call at once; what the client still sends is ignored.
std::unique_ptr<CallHandler> refuse(Call& call, Status status);

// Thread: loop.
class CallerCall : public CallHandler {
 public:
  // `method` is for log lines.
  CallerCall(const ApiContext& context, Call& call, const char* method);

  void on_half_close(Call& call) override;
  Status on_peer_changed(const Error& why) override;

 protected:
  // Asks the attestors who is calling; a caller that cannot be identified ends the call with
  // UNAVAILABLE. on_caller() may run before this returns.
  void identify();
  virtual void on_caller(const Attestation& attestation, const Selectors& selectors) = 0;
  // The call is about to finish.
  virtual void on_end() {}

  // Wraps what comes back later: it runs only while the call goes on.
  template <class Function>
  auto while_open(Function function) {
    return [weak = std::weak_ptr(self_), function](auto&&... arguments) {
      auto self = weak.lock();
      if (self && !(*self)->ended()) function(std::forward<decltype(arguments)>(arguments)...);
    };
  }

  // Logs once that the caller is served.
  void served(std::size_t identities);
  // Logs why and finishes the call; later calls do nothing.
  void end(const Status& status);
  // Ends it with PERMISSION_DENIED for want of an identity, or with UNAVAILABLE if it is not fully
  // known who calls, and keeps for the operator why.
  // `attestation` is null if it is not known any more.
  void end_without_identity(const Attestation* attestation, std::string cause);

  const ApiContext& context() const { return context_; }
  Call& call() { return call_; }
  const char* method() const { return method_; }
  bool ended() const { return ended_; }

 private:
  // Ends all but the call itself: keeps and logs why, and yields what the caller is told.
  Status refuse(Code code, const char* words, std::string cause, const Attestation* attestation);

  const ApiContext context_;
  Call& call_;
  const char* const method_;

  bool fully_known_ = true;  // every attestor answered
  bool served_ = false;
  bool ended_ = false;
  std::shared_ptr<CallerCall*> self_;  // answers may come back after our end
};

}  // namespace nodepilot
