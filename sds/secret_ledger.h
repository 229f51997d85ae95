// What the client of one stream asks for, what it holds and what it has not answered yet: all that
// the state-of-the-world protocol and the delta protocol have in common. Pure: it makes no call,
// reads no clock and writes no log.
//
// - A response carries only what is new to the client: names it has just asked for and resources
//   whose content has changed. Names without content are held until there is some.
// - One response is under way until on_sent(); what changes meanwhile goes into the next one, so a
//   slow client skips the states in between.
// - Trust first: certificates wait until the client has answered the response that changed the
//   roots of a name it holds.
// - What the client rejects (NACK) is not sent again before it changes or is asked for anew.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "proto/google/status.pb.h"
#include "sds/secret_resources.h"

namespace nodepilot {

inline constexpr std::string_view kSecretType =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
// Of one stream, in number and in bytes.
inline constexpr std::size_t kMaxSecretNames = 1000;
inline constexpr std::size_t kMaxSecretNameBytes = std::size_t{128} * 1024;
// Of what a client says, for the log.
inline constexpr std::size_t kMaxDetailBytes = 512;

// Makes a new text at each call.
using NonceSource = std::function<std::string()>;

// What a client asks for.
struct SecretNames {
  std::set<std::string> names;
  bool everything = false;  // besides, all that there is

  friend bool operator==(const SecretNames&, const SecretNames&) = default;
};

// An identity that a response carries.
struct SentIdentity {
  std::string entry_id;
  std::string serial;
};

// What a request turned out to be.
struct SecretVerdict {
  enum class Kind { kSubscription, kAck, kNack, kStale, kOtherType };

  Kind kind = Kind::kSubscription;
  std::string version;                   // the response that was answered
  std::vector<SentIdentity> identities;  // kAck: the client has these now
  BundlePtr roots;                       // kAck: and these roots of our own trust domain
  std::string detail;  // kNack: what the client says; kOtherType: which; cut to a bounded length
};

// A name that the client asked for and does not get.
struct AbsentSecret {
  std::string name;
  std::string why;
};

// What to say next.
struct SecretBatch {
  struct Item {
    std::string name;
    SecretContent content;
    std::string version;
    bool replaces = false;  // the client holds another version
  };

  std::string nonce;
  std::string version;            // of the response: "1", "2", ...
  std::vector<Item> items;        // trust first
  std::vector<std::string> gone;  // what the client asked for and does not exist (any more)
  std::vector<SentIdentity> identities;
  BundlePtr roots;  // of our own trust domain, if an item holds them

  bool holds_key() const;
};

// Thread: loop.
class SecretLedger {
 public:
  // `options` outlives it. Whether next() tells what is gone; if not, that is passed over.
  SecretLedger(const SecretOptions& options, bool tells_gone, NonceSource make_nonce);

  // What is asked for from now on; yields whether that is new. kInvalidArgument beyond the bounds.
  expected<bool> subscribe(SecretNames wanted);
  const SecretNames& wanted() const { return wanted_; }
  // The bytes of the names that the client makes us remember.
  std::size_t held() const { return held_; }
  // Envoy may send its node with the first request only: it holds until another comes.
  void set_node(const envoy::config::core::v3::Node& node);
  // The client says that it has this version, from an earlier stream.
  void holds(const std::string& name, const std::string& version);
  // Tell the client of `name`, or of all that it rejected, whatever it holds.
  void forget(const std::string& name);
  void forget_rejected();

  void set_update(UpdatePtr update);
  void set_files(std::map<std::string, FileAnswer> files);

  // Whether something that is asked for is still to come.
  bool waits() const;
  // The next response, if there is something to say and nothing is under way. Points into the
  // update and files until these are set anew.
  std::optional<SecretBatch> next();
  // The response that next() gave last has left.
  void on_sent() { under_way_ = false; }

  // The client answers the response of `nonce`: a rejection if it gives an error, or (if the
  // protocol tells it) a version other than that response's.
  SecretVerdict answer(const std::string& nonce, const google::rpc::Status* error,
                       const std::string* version);
  const std::string& last_nonce() const { return last_nonce_; }
  std::uint64_t rejected() const { return rejected_; }
  // The first that was found, until there was one.
  const std::optional<AbsentSecret>& absent() const { return absent_; }

 private:
  struct Resource {
    // The version that the client holds; "" if it knows that there is none; nullopt if it has to
    // be told.
    std::optional<std::string> told;
    std::uint64_t number = 0;  // of the response that told it
    bool rejected = false;
  };
  struct Unanswered {
    std::string nonce;
    std::uint64_t number;
    bool changed_trust;
    std::vector<SentIdentity> identities;
    BundlePtr roots;
  };

  SecretBatch look();
  void look_at(const std::string& name, SecretBatch& batch);
  void send(SecretBatch& batch, bool changes_trust);

  const SecretOptions& options_;
  const bool tells_gone_;
  const NonceSource make_nonce_;

  SecretNames wanted_;
  std::size_t held_ = 0;
  TrustForm form_;
  SecretView view_;
  std::map<std::string, Resource> resources_;  // by name, what the client was told of
  bool news_ = false;                          // next() has something to look for
  bool under_way_ = false;
  std::uint64_t number_ = 0;
  std::string last_nonce_;
  std::deque<Unanswered> unanswered_;  // oldest first
  std::uint64_t rejected_ = 0;
  std::optional<AbsentSecret> absent_;
};

}  // namespace nodepilot
