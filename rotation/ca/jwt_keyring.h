// The keys with which the embedded CA signs JWT-SVIDs, and when each has its turn.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/time.h"
#include "rotation/pki/jwt_svid.h"

namespace nodepilot {

// A key is published, then it signs, then the next one signs, and it stays published until its
// last token has ended. Does no I/O and reads no clock: the caller says what time it is.
// Immutable. Thread: any.
class JwtKeyring {
 public:
  struct Policy {
    Duration signing_life = std::chrono::hours(24);
    // So long a key is published before it signs: more than 3 to 5 of the intervals at which other
    // trust domains poll, minutes each (SPIFFE Federation 4.1).
    Duration published_ahead = std::chrono::hours(6);
    // No token lives longer.
    Duration longest_token = std::chrono::hours(24);
  };

  // One key, which signs at once: nobody can have asked for it before.
  static expected<JwtKeyring> start(Time now, Policy policy);

  // What serialise() gave. kInvalidArgument says what is wrong and quotes no key.
  static expected<JwtKeyring> parse(std::string_view json, Policy policy);
  std::string serialise() const;  // holds the private keys

  // The ring as it must be at `now`; empty if that is this one. After a clock that was wrong it
  // is sound again within `published_ahead`.
  expected<std::optional<JwtKeyring>> turned(Time now) const;

  const JwtSigningKey& signer(Time now) const;
  std::vector<JwtAuthority> authorities() const;

 private:
  struct Key {
    JwtSigningKey key;
    Time signs_from;
  };
  JwtKeyring(Policy policy, std::vector<Key> keys) : policy_(policy), keys_(std::move(keys)) {}
  static expected<Key> make_key(Time signs_from);
  static expected<std::vector<Key>> parse_keys(std::string_view json);

  Policy policy_;
  std::vector<Key> keys_;  // never empty; by the time from which they sign
};

}  // namespace nodepilot
