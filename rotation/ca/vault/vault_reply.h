// What a Vault server says, made into values and errors. For this room only; thread: any.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "rotation/ca/vault/vault_client.h"
#include "rotation/pki/certificate.h"

namespace nodepilot {

inline constexpr std::size_t kMaxVaultReplyBytes = std::size_t{256} * 1024;

// The JSON object of a reply with status 200, or why there is none: VaultClient::call's errors,
// with what Vault itself said, bounded and quoted, and without the secrets of `call`.
expected<nlohmann::json> read_vault_reply(const VaultCall& call, const Url& url,
                                          const HttpsReply& reply);

// A token and how long it lasts.
struct VaultLease {
  SecretBytes token;
  std::chrono::seconds duration;  // zero: for ever
  bool renewable;
};
// Of an answer to a login or a renewal.
expected<VaultLease> read_lease(const nlohmann::json& answer);

// Of an answer to pki/sign: the leaf, and what Vault says stands above it. At most
// kMaxChainLength.
expected<std::vector<Certificate>> read_signed_chain(const nlohmann::json& answer);

// Of an answer to pki/cert/ca_chain: all of it.
expected<std::vector<Certificate>> read_ca_chain(const nlohmann::json& answer);

// Whether `text` can be a token, secret ID or JWT: one word of printable ASCII without quotes and
// backslashes, so that it stands in a header or in JSON as it is.
bool is_secret_word(std::string_view text);

}  // namespace nodepilot
