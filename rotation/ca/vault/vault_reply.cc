#include "rotation/ca/vault/vault_reply.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/log.h"
#include "agent/base/strict_json.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;

constexpr JsonLimits kJsonLimits{.max_bytes = kMaxVaultReplyBytes, .max_depth = 16};
constexpr std::size_t kMaxErrors = 3;
constexpr std::size_t kMaxErrorBytes = 300;
constexpr std::size_t kMaxSecretBytes = std::size_t{16} * 1024;
constexpr std::int64_t kMaxLeaseSeconds = std::int64_t{10} * 366 * 24 * 3600;

std::string_view text_of(const SecretBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The member of an object; null if it is none or has none.
const Json* member(const Json& json, const char* name) {
  if (!json.is_object()) return nullptr;
  auto found = json.find(name);
  return found == json.end() ? nullptr : &*found;
}

const std::string* text_member(const Json& json, const char* name) {
  const Json* found = member(json, name);
  return found ? found->get_ptr<const std::string*>() : nullptr;
}

const char* meaning_of(unsigned status) {
  switch (status) {
    case 429:
      return ": too many requests";
    case 472:
      return ": a standby for disaster recovery";
    case 473:
      return ": a performance standby";
    case 503:
      return ": sealed or under maintenance";
    default:
      return "";
  }
}

Code code_of(unsigned status) {
  switch (status) {
    case 400:
      return Code::kInvalidArgument;
    case 403:
      return Code::kPermissionDenied;
    case 404:
      return Code::kNotFound;
    case 429:
      return Code::kResourceExhausted;
    default:
      // 412 (not replicated yet), 472, 473 and all of 5xx may pass, or not hold for another server.
      return status == 412 || status >= 472 ? Code::kUnavailable : Code::kFailedPrecondition;
  }
}

// Whoever repeats a secret to us must not get it into our log.
std::string without(std::string text, const SecretBytes& secret) {
  if (secret.empty()) return text;
  for (auto at = text.find(text_of(secret)); at != std::string::npos;
       at = text.find(text_of(secret))) {
    text.replace(at, secret.size(), "(secret)");
  }
  return text;
}

std::string errors_of(const std::string& body, const VaultCall& call) {
  auto json = parse_strict_json(body, kJsonLimits);
  const Json* errors = json ? member(*json, "errors") : nullptr;
  if (!errors || !errors->is_array()) return "";
  std::string all;
  std::size_t count = 0;
  for (const Json& error : *errors) {
    const auto* text = error.get_ptr<const std::string*>();
    if (!text || count++ == kMaxErrors) break;
    auto clean = without(without(*text, call.token), call.secret);
    all += (all.empty() ? ": " : ", ") + quote(clean.substr(0, kMaxErrorBytes));
  }
  return all;
}

tl::unexpected<Error> malformed(const std::string& what) {
  return fail(Code::kDataLoss, "the answer of Vault: " + what);
}

expected<Certificate> one_certificate(const std::string& pem, const char* name) {
  auto certificates = Certificate::parse_pem(pem);
  if (!certificates) return malformed(std::string(name) + ": " + certificates.error().message);
  if (certificates->size() == 1) return certificates->front();
  return malformed(
      fmt::format("{} holds {} certificates instead of one", name, certificates->size()));
}

}  // namespace

bool is_secret_word(std::string_view text) {
  auto allowed = [](char c) { return c > ' ' && c <= '~' && c != '"' && c != '\\'; };
  return !text.empty() && text.size() <= kMaxSecretBytes &&
         std::all_of(text.begin(), text.end(), allowed);
}

expected<Json> read_vault_reply(const VaultCall& call, const Url& url, const HttpsReply& reply) {
  std::string what = url.str() + ": ";
  if (reply.status == 200) {
    auto json = parse_strict_json(reply.body, kJsonLimits);
    if (!json) return fail(Code::kDataLoss, what + json.error().message);
    if (json->is_object()) return json;
    return fail(Code::kDataLoss, what + "the answer is no JSON object");
  }
  what += fmt::format("status {}{}{}", reply.status, meaning_of(reply.status),
                      errors_of(reply.body, call));
  return tl::unexpected<Error>(Error{code_of(reply.status), std::move(what), reply.retry_after});
}

expected<VaultLease> read_lease(const Json& answer) {
  const Json* auth = member(answer, "auth");
  if (!auth) return malformed("auth is missing");
  const auto* token = text_member(*auth, "client_token");
  if (!token || !is_secret_word(*token)) return malformed("auth.client_token is no token");
  const Json* duration = member(*auth, "lease_duration");
  const Json* renewable = member(*auth, "renewable");
  if (!duration || !duration->is_number_integer() || !renewable || !renewable->is_boolean()) {
    return malformed("auth.lease_duration or auth.renewable is missing");
  }
  auto seconds = duration->get<std::int64_t>();
  if (seconds < 0 || seconds > kMaxLeaseSeconds) {
    return malformed("auth.lease_duration is out of bounds");
  }
  return VaultLease{SecretBytes(token->begin(), token->end()), std::chrono::seconds(seconds),
                    renewable->get<bool>()};
}

expected<std::vector<Certificate>> read_signed_chain(const Json& answer) {
  const Json* data = member(answer, "data");
  const auto* leaf = data ? text_member(*data, "certificate") : nullptr;
  if (!leaf) return malformed("data.certificate is missing");
  std::vector<Certificate> chain{TRY(one_certificate(*leaf, "data.certificate"))};
  const Json* above = member(*data, "ca_chain");
  if (!above) {  // as servers of before 1.11 leave it out below a root
    const auto* issuer = text_member(*data, "issuing_ca");
    if (!issuer) return malformed("data.ca_chain and data.issuing_ca are missing");
    chain.push_back(TRY(one_certificate(*issuer, "data.issuing_ca")));
    return chain;
  }
  if (!above->is_array()) return malformed("data.ca_chain is not a list");
  if (above->size() >= kMaxChainLength) {
    return malformed(fmt::format("data.ca_chain holds {} certificates, at most {} are allowed",
                                 above->size(), kMaxChainLength - 1));
  }
  for (const Json& pem : *above) {
    const auto* text = pem.get_ptr<const std::string*>();
    if (!text) return malformed("data.ca_chain holds something else than texts");
    chain.push_back(TRY(one_certificate(*text, "data.ca_chain")));
  }
  return chain;
}

expected<std::vector<Certificate>> read_ca_chain(const Json& answer) {
  const Json* data = member(answer, "data");
  const auto* pem = data ? text_member(*data, "ca_chain") : nullptr;
  if (data && (!pem || pem->empty())) pem = text_member(*data, "certificate");
  if (!pem) return malformed("data.ca_chain is missing");
  auto chain = Certificate::parse_pem(*pem);
  if (!chain) return malformed("data.ca_chain: " + chain.error().message);
  return chain;
}

}  // namespace nodepilot
