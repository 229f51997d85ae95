#include "rotation/ca/vault/vault_client.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "rotation/ca/vault/vault_files.h"
#include "rotation/ca/vault/vault_reply.h"

namespace nodepilot {
namespace {

constexpr int kMaxRedirects = 2;
constexpr unsigned kTemporaryRedirect = 307;

SecretBytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

// Whether another server of the cluster may do better.
bool is_of_the_server(const Error& error) {
  return error.code == Code::kUnavailable || error.code == Code::kDeadlineExceeded ||
         error.code == Code::kUnauthenticated || error.code == Code::kDataLoss;
}

Error both(const std::optional<Error>& earlier, const Error& later) {
  if (!earlier) return later;
  return {later.code, earlier->message + "; " + later.message,
          later.retry_after ? later.retry_after : earlier->retry_after};
}

}  // namespace

expected<nlohmann::json> VaultClient::call(const VaultCall& call, Deadline deadline) {
  std::optional<Error> failure;
  std::size_t count = options_.addresses.size();
  std::size_t first = last_answered_;
  for (std::size_t tried = 0; tried < count; ++tried) {
    std::size_t index = (first + tried) % count;
    auto now = std::chrono::steady_clock::now();
    auto answer = ask(options_.addresses[index], call, now + (deadline - now) / (count - tried));
    if (answer || !is_of_the_server(answer.error())) {
      last_answered_ = index;
      return answer;
    }
    failure = both(failure, answer.error());
  }
  if (failure) return tl::unexpected<Error>(*std::move(failure));
  return fail(Code::kInvalidArgument, "no address of Vault is given");
}

expected<nlohmann::json> VaultClient::ask(const Url& address, const VaultCall& call,
                                          Deadline deadline) const {
  HttpsRequest request = TRY(request_to(address, call));
  for (int redirects = 0;; ++redirects) {
    request.timeout = std::chrono::floor<Duration>(deadline - std::chrono::steady_clock::now());
    auto reply = TRY(https_send(request));
    if (reply.status != kTemporaryRedirect) return read_vault_reply(call, request.url, reply);
    std::string what = request.url.str() + ": redirected";
    if (redirects == kMaxRedirects) {
      return fail(Code::kUnavailable, fmt::format("{} more than {} times", what, kMaxRedirects));
    }
    auto leader = request.url.resolve(reply.location);
    if (!leader) return fail(Code::kUnavailable, what + ", to where " + leader.error().message);
    // A standby names its leader; nobody has a reason to send the token to another place of it.
    if (leader->target() != request.url.target()) {
      return fail(Code::kUnavailable, what + " to another path, " + leader->str());
    }
    request.url = *std::move(leader);
  }
}

expected<HttpsRequest> VaultClient::request_to(const Url& address, const VaultCall& call) const {
  HttpsRequest request{.method = call.method,
                       .url = TRY(address.resolve("/v1/" + call.path)),
                       .headers = {},
                       .body = call.body,
                       .server = WebServer{},
                       .client = {},
                       .now = now_(),
                       .max_body_bytes = kMaxVaultReplyBytes,
                       .stop = stop_.get_token()};
  // Vault may be set to refuse requests without it: no browser can be made to send it.
  request.headers.push_back({"X-Vault-Request", bytes_of("true")});
  if (!call.token.empty()) request.headers.push_back({"X-Vault-Token", call.token});
  if (!options_.name_space.empty()) {
    request.headers.push_back({"X-Vault-Namespace", bytes_of(options_.name_space)});
  }
  if (call.method == HttpsMethod::kPost) {
    request.headers.push_back({"Content-Type", bytes_of("application/json")});
  }
  if (options_.ca_file) request.server = WebServer{TRY(read_certificates(*options_.ca_file))};
  if (const auto* files = std::get_if<VaultCertificate>(&options_.auth)) {
    request.client = TRY(read_client_certificate(*files));
  }
  return request;
}

}  // namespace nodepilot
