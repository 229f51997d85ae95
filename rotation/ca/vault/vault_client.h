// The HTTP API of a Vault cluster: one call, whichever of its servers can answer it.
#pragma once

#include <atomic>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <stop_token>
#include <string>

#include "rotation/ca/vault/vault_options.h"
#include "rotation/https/https_client.h"

namespace nodepilot {

using Deadline = std::chrono::steady_clock::time_point;

struct VaultCall {
  HttpsMethod method = HttpsMethod::kPost;
  std::string path;    // below /v1/
  SecretBytes body{};  // JSON
  SecretBytes token{};
  SecretBytes secret{};  // what the body proves us with; like the token it stands in no error
};

// Thread: worker, several at once.
class VaultClient {
 public:
  // `options` outlives it; `now` is called from any thread.
  VaultClient(const VaultOptions& options, std::function<Time()> now)
      : options_(options), now_(std::move(now)) {}

  // The JSON object of a good answer. A server that is down, sealed, a standby or not the one that
  // was meant is passed over for the next, each with its share of the time; the one that answered
  // is asked first next time. kPermissionDenied if and only if Vault said 403; kInvalidArgument and
  // kNotFound are its 400 and 404; kResourceExhausted its 429, whose pause is in retry_after.
  expected<nlohmann::json> call(const VaultCall& call, Deadline deadline);

  // Every call, present and to come, ends soon with kCancelled. Thread: any.
  void stop() { stop_.request_stop(); }

 private:
  expected<nlohmann::json> ask(const Url& address, const VaultCall& call, Deadline deadline) const;
  expected<HttpsRequest> request_to(const Url& address, const VaultCall& call) const;

  const VaultOptions& options_;
  const std::function<Time()> now_;
  std::stop_source stop_;                      // synchronizes itself
  std::atomic<std::size_t> last_answered_{0};  // index of an address
};

}  // namespace nodepilot
