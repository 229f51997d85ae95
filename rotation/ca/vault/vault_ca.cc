#include "rotation/ca/vault/vault_ca.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rotation/ca/vault/vault_files.h"
#include "rotation/ca/vault/vault_reply.h"

namespace nodepilot {
namespace {

SecretBytes sign_request(const Csr& csr, const Entry& entry) {
  nlohmann::json request = {{"csr", csr.pem()},
                            {"uri_sans", entry.spiffe_id.str()},
                            {"ttl", fmt::format("{}s", entry.ttl.count())},
                            {"exclude_cn_from_sans", true},
                            {"format", "pem"}};
  if (!entry.dns_names.empty()) {
    request["alt_names"] = fmt::format("{}", fmt::join(entry.dns_names, ","));
  }
  std::string text = request.dump();
  return {text.begin(), text.end()};
}

}  // namespace

VaultCa::VaultCa(TrustDomain trust_domain, VaultOptions options, std::function<Time()> now)
    : trust_domain_(std::move(trust_domain)),
      options_(std::move(options)),
      now_(std::move(now)),
      client_(options_, now_),
      token_(options_, client_, now_) {}

expected<std::vector<Certificate>> VaultCa::sign(const Csr& csr, const Entry& entry) {
  VaultCall call{.path = options_.mount + "/sign/" + options_.role,
                 .body = sign_request(csr, entry)};
  auto answer =
      call_with_token(std::move(call), std::chrono::steady_clock::now() + options_.timeout);
  if (!answer) return fail_with("sign", answer.error());
  return read_signed_chain(*answer);
}

expected<nlohmann::json> VaultCa::call_with_token(VaultCall call, Deadline deadline) {
  call.token = TRY(token_.get(deadline));
  auto answer = client_.call(call, deadline);
  if (!answer && answer.error().code == Code::kPermissionDenied) {
    auto other = TRY(token_.instead_of(call.token, deadline));
    if (!other) return answer;
    call.token = *std::move(other);
    answer = client_.call(call, deadline);
  }
  if (answer) token_.worked(call.token);
  return answer;
}

expected<TrustBundle> VaultCa::bundle() {
  Deadline deadline = std::chrono::steady_clock::now() + options_.timeout;
  auto found = TRY(roots(deadline));
  // The roots are asked for again and again, which makes this the heartbeat of a login.
  token_.keep_alive(deadline);
  return TrustBundle::create(trust_domain_, found);
}

expected<std::vector<Certificate>> VaultCa::roots(Deadline deadline) {
  if (options_.trust_bundle_file) return read_certificates(*options_.trust_bundle_file);
  VaultCall call{.method = HttpsMethod::kGet, .path = options_.mount + "/cert/ca_chain"};
  auto answer = client_.call(call, deadline);
  if (!answer) return fail_with("read the roots", answer.error());
  auto chain = TRY(read_ca_chain(*answer));
  std::vector<Certificate> found;
  std::copy_if(chain.begin(), chain.end(), std::back_inserter(found),
               [](const Certificate& c) { return c.is_self_signed() && c.can_sign(); });
  if (!found.empty()) return found;
  return fail(
      Code::kFailedPrecondition,
      fmt::format("the chain of Vault's mount {} ends in \"{}\", which is no root; give the "
                  "root in a file and name it in ca.vault.trust_bundle_file",
                  options_.mount, chain.back().subject()));
}

}  // namespace nodepilot
