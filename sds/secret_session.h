// One StreamSecrets stream: what the client asked for, what it was given and what it answered.
// Pure: it makes no call, reads no clock and writes no log.
//
// - A response carries only what is new to the client: names it has just asked for and resources
//   whose content has changed. Names without content are silently held until there is some.
// - One response is under way until on_sent(); what changes meanwhile goes into the next one, so a
//   slow client skips the states in between.
// - Trust first: certificates wait until the client has answered the response that changed the
//   roots of a name it holds.
// - What the client rejects (NACK) is not sent again before it changes or the set of names does.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proto/envoy/discovery.pb.h"
#include "rotation/workload_update.h"
#include "sds/secret_resources.h"

namespace nodepilot {

inline constexpr std::size_t kMaxSecretNames = 1000;

// Makes a new text at each call.
using NonceSource = std::function<std::string()>;

// An identity that a response carries.
struct SentIdentity {
  std::string entry_id;
  std::string serial;
};

struct SecretResponse {
  envoy::service::discovery::v3::DiscoveryResponse message;
  std::vector<SentIdentity> identities;  // if any, the message holds private keys
};

// What a request turned out to be.
struct SecretVerdict {
  enum class Kind { kSubscription, kAck, kNack, kStale, kOtherType };

  Kind kind = Kind::kSubscription;
  std::string version;                   // the response that was answered
  std::vector<SentIdentity> identities;  // kAck: the client has these now
  std::string detail;                    // kNack: what the client says, cut to a bounded length
};

// Thread: loop.
class SecretSession {
 public:
  explicit SecretSession(NonceSource make_nonce) : make_nonce_(std::move(make_nonce)) {}

  // kInvalidArgument ends the stream.
  expected<SecretVerdict> on_request(
      const envoy::service::discovery::v3::DiscoveryRequest& request);
  void on_update(UpdatePtr update) { update_ = std::move(update); }
  // The response that next() gave last has left.
  void on_sent() { under_way_ = false; }

  // The next response, if there is something to say and nothing is under way.
  std::optional<SecretResponse> next();

  std::uint64_t rejected() const { return rejected_; }

 private:
  using Request = envoy::service::discovery::v3::DiscoveryRequest;

  struct Resource {
    std::optional<std::size_t> sent;  // fingerprint of what the client was given last
    std::uint64_t version = 0;        // of the response that carried it
    bool rejected = false;
  };
  struct Unanswered {
    std::string nonce;
    std::uint64_t version;
    bool changed_trust;
    std::vector<SentIdentity> identities;
  };
  struct News {
    std::string name;
    SecretContent content;
    std::size_t fingerprint;
  };

  SecretVerdict judge(const Request& request);
  expected<void> subscribe(const Request& request);
  std::vector<News> find_news();
  SecretResponse respond(const std::vector<News>& news, bool changes_trust);

  const NonceSource make_nonce_;

  bool subscribed_ = false;  // the first request has come
  bool everything_ = false;  // it named nothing, and no later one did
  TrustForm form_ = TrustForm::kSpiffeValidator;
  std::map<std::string, Resource> resources_;  // by name, what is asked for
  UpdatePtr update_;
  bool under_way_ = false;
  std::uint64_t version_ = 0;
  std::string last_nonce_;
  std::deque<Unanswered> unanswered_;  // oldest first
  std::uint64_t rejected_ = 0;
};

}  // namespace nodepilot
