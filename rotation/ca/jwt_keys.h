// The embedded CA's JWT keys at work: the ring turns by the clock, and is kept in a file, which two
// agents may share while one follows the other.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <vector>

#include "rotation/ca/jwt_keyring.h"

namespace nodepilot {

// Thread: any, several at once.
class JwtKeys {
 public:
  // Reads `file` (mode 0600), or makes it with a first key if it is missing. A damaged one is an
  // error that names it, and stays: it may be the last copy of keys in use.
  static expected<std::unique_ptr<JwtKeys>> open(const std::filesystem::path& file,
                                                 JwtKeyring::Policy policy, Time now);

  // Turns the ring first. A new key is on the disk before it is published; as long as it cannot be
  // written, the ring stays as it is and the log says why.
  std::vector<JwtAuthority> authorities(Time now);
  JwtSigningKey signer(Time now) const;

 private:
  JwtKeys(std::filesystem::path file, JwtKeyring::Policy policy, JwtKeyring ring)
      : file_(std::move(file)), policy_(policy), ring_(std::move(ring)) {}

  const std::filesystem::path file_;
  const JwtKeyring::Policy policy_;
  // Workers sign and ask for the bundle at once, and the file must have one writer.
  mutable std::mutex mutex_;
  JwtKeyring ring_;  // under mutex_
};

}  // namespace nodepilot
