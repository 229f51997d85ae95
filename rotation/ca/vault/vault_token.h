// The token that Vault knows us by: read from a file, or had by a login that is kept alive.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>

#include "rotation/ca/vault/vault_client.h"
#include "rotation/ca/vault/vault_reply.h"

namespace nodepilot {

// Thread: worker, several at once. One of them logs in, the others wait for it and share what came
// of it, so a call may block for somebody else's deadline and then for its own.
class VaultToken {
 public:
  // The references outlive it; `now` is called from any thread.
  VaultToken(const VaultOptions& options, VaultClient& client, std::function<Time()> now)
      : options_(options), client_(client), now_(std::move(now)) {}

  // The token to use now. A file is read each time; if it cannot be, what it held last is used. A
  // login lasts for its lease: after two thirds of that it is renewed, or, if that cannot be, done
  // anew; what is still valid is used as long as that fails. A login that Vault refused is not
  // tried again for five seconds.
  expected<SecretBytes> get(Deadline deadline);

  // After Vault refused `used`: another token, or none if none would do better. A login that was
  // refused at once is not repeated for a minute: it lacks a right, and would lack it again.
  expected<std::optional<SecretBytes>> instead_of(const SecretBytes& used, Deadline deadline);

  // Vault accepted `used`.
  void worked(const SecretBytes& used);

  // Renews a login that is held and due, so that it outlives pauses in its use.
  void keep_alive(Deadline deadline);

 private:
  struct Held {
    SecretBytes token;
    Time since;                      // when it was had, not when it was renewed
    std::optional<Time> due{};       // when to renew or replace it; none: never
    std::optional<Time> ends{};      // none: never
    std::chrono::seconds granted{};  // at the login
    bool renewable = false;
    bool has_worked = false;
  };

  expected<SecretBytes> from_file(const VaultTokenFile& source);
  expected<SecretBytes> from_login(Deadline deadline);
  expected<void> refresh(Deadline deadline);
  expected<void> renew(Deadline deadline);
  expected<void> log_in(Deadline deadline);
  void hold_lease(const VaultLease& lease);
  bool is_due() const { return held_ && held_->due && *held_->due <= now_(); }
  bool is_over() const { return !held_ || (held_->ends && *held_->ends <= now_()); }

  const VaultOptions& options_;
  VaultClient& client_;
  const std::function<Time()> now_;

  std::mutex mutex_;  // held through a login: one at a time
  std::optional<Held> held_;
  std::optional<Error> failure_;          // of the latest login ...
  Time failed_at_;                        // ... and when
  std::atomic<std::uint64_t> logins_{0};  // tried so far
};

}  // namespace nodepilot
