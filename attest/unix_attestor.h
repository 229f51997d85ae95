// The `unix` attestor: SPIRE's selectors from /proc.
//   uid:N user:NAME gid:N group:NAME supplementary_gid:N supplementary_group:NAME path:P sha256:HEX
// The path is the one in the caller's own mount namespace. Who may make such namespaces chooses it
// freely, so an entry should ask for uid or sha256 as well.
#pragma once

#include "attest/attestor.h"

namespace nodepilot {

class UnixAttestor : public Attestor {
 public:
  struct Options {
    // Hashing reads the whole executable, so it is done only if some entry asks for unix:sha256.
    bool hash_executable = false;
    std::size_t max_hash_bytes = std::size_t{512} * 1024 * 1024;
    // user, group and supplementary_group. The user database may be a server somewhere (NSS), so
    // it is asked only if some entry needs an answer.
    bool look_up_names = true;
  };
  explicit UnixAttestor(Options options) : options_(options) {}

  const char* name() const override { return "unix"; }
  // Without hash and names it asks only the kernel.
  bool is_quick() const override { return !options_.hash_executable && !options_.look_up_names; }

  // Names that have no entry in the user database are left out. If the executable may not be
  // looked at, path and sha256 are left out; one larger than the limit fails the attestor.
  expected<Selectors> attest(const Peer& peer) const override;

 private:
  const Options options_;
};

}  // namespace nodepilot
