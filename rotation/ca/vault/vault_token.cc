#include "rotation/ca/vault/vault_token.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/log.h"
#include "rotation/ca/vault/vault_files.h"

namespace nodepilot {
namespace {

constexpr Duration kRefusedLogin = std::chrono::minutes(1);
// Vault locks out who fails too often, and every identity that waits would try.
constexpr Duration kFailedLogin = std::chrono::seconds(5);
constexpr Duration kShortestRetry = std::chrono::seconds(1);

void append(SecretBytes& bytes, std::string_view text) {
  bytes.insert(bytes.end(), text.begin(), text.end());
}

// Vault said no: the token is revoked, or renewals may add nothing to it. Other errors may pass.
bool is_refusal(const Error& error) {
  return error.code == Code::kPermissionDenied || error.code == Code::kInvalidArgument ||
         error.code == Code::kNotFound;
}

struct Credential {
  const char* method;
  std::string mount;
  SecretBytes body;
  SecretBytes secret;
};

// {"NAME":"VALUE","SECRET_NAME":"SECRET"}. Both values are of a form that needs no escaping.
Credential credential(const char* method, std::string mount, std::string_view name,
                      const std::string& value, std::string_view secret_name, SecretBytes secret) {
  SecretBytes body;
  append(body, "{\"");
  append(body, name);
  append(body, "\":" + nlohmann::json(value).dump() + ",\"");
  append(body, secret_name);
  append(body, "\":\"");
  body.insert(body.end(), secret.begin(), secret.end());
  append(body, "\"}");
  return {method, std::move(mount), std::move(body), std::move(secret)};
}

expected<Credential> credential_of(const VaultTokenFile&) {
  return fail(Code::kInternal, "a token file needs no login");
}

expected<Credential> credential_of(const VaultAppRole& role) {
  auto secret_id = TRY(read_secret_word(role.secret_id_file));
  return credential("approle", role.mount, "role_id", role.role_id, "secret_id",
                    std::move(secret_id));
}

expected<Credential> credential_of(const VaultKubernetes& account) {
  auto jwt = TRY(read_jwt(account.jwt_file));
  return credential("kubernetes", account.mount, "role", account.role, "jwt", std::move(jwt));
}

expected<Credential> credential_of(const VaultCertificate& certificate) {
  SecretBytes body;
  nlohmann::json json = nlohmann::json::object();
  if (!certificate.role.empty()) json["name"] = certificate.role;
  append(body, json.dump());
  return Credential{"cert", certificate.mount, std::move(body), {}};
}

}  // namespace

expected<SecretBytes> VaultToken::get(Deadline deadline) {
  if (const auto* source = std::get_if<VaultTokenFile>(&options_.auth)) return from_file(*source);
  return from_login(deadline);
}

expected<SecretBytes> VaultToken::from_file(const VaultTokenFile& source) {
  auto token = read_secret_word(source.file);
  std::lock_guard lock(mutex_);
  if (token) {
    held_ = Held{.token = *token, .since = now_()};
    return token;
  }
  if (!held_) return token;
  log::warn("vault token file not readable; what it held last is used",
            {{"error", token.error().message}});
  return held_->token;
}

expected<SecretBytes> VaultToken::from_login(Deadline deadline) {
  auto seen = logins_.load();
  std::lock_guard lock(mutex_);
  // Whoever we waited for has just failed; so would we.
  if (is_over() && failure_ && logins_ != seen) return tl::unexpected<Error>(*failure_);
  if (is_over() || is_due()) {
    auto refreshed = refresh(deadline);
    if (!refreshed && is_over()) return tl::unexpected<Error>(refreshed.error());
  }
  return held_->token;
}

expected<std::optional<SecretBytes>> VaultToken::instead_of(const SecretBytes& used,
                                                            Deadline deadline) {
  if (std::holds_alternative<VaultTokenFile>(options_.auth)) {
    auto token = TRY(get(deadline));
    return token == used ? std::nullopt : std::optional(std::move(token));
  }
  std::lock_guard lock(mutex_);
  if (held_ && held_->token != used) return held_->token;
  if (held_ && !held_->has_worked && now_() < held_->since + kRefusedLogin) return std::nullopt;
  TRY(log_in(deadline));
  return held_->token;
}

void VaultToken::worked(const SecretBytes& used) {
  std::lock_guard lock(mutex_);
  if (held_ && held_->token == used) held_->has_worked = true;
}

void VaultToken::keep_alive(Deadline deadline) {
  std::lock_guard lock(mutex_);
  if (!is_over() && is_due()) (void)refresh(deadline);
}

// A token that is held stays so if nothing better is had.
expected<void> VaultToken::refresh(Deadline deadline) {
  bool can_renew = !is_over() && held_->renewable;
  auto refreshed = can_renew ? renew(deadline) : log_in(deadline);
  bool is_refused = !refreshed && can_renew && is_refusal(refreshed.error());
  if (is_refused) refreshed = log_in(deadline);
  if (refreshed || is_over()) return refreshed;
  log::warn("vault token not renewed",
            {{"error", refreshed.error().message}, {"valid_for", to_text(*held_->ends - now_())}});
  held_->due = now_() + std::max(kShortestRetry, (*held_->ends - now_()) / 4);
  return refreshed;
}

expected<void> VaultToken::renew(Deadline deadline) {
  VaultCall call{.path = "auth/token/renew-self", .token = held_->token};
  append(call.body, "{}");
  auto answer = client_.call(call, deadline);
  if (!answer) return fail_with("renew the token", answer.error());
  VaultLease lease = TRY(read_lease(*answer));
  bool has_worked = held_->has_worked;
  Time since = held_->since;
  auto granted = held_->granted;
  hold_lease(lease);
  held_->has_worked = has_worked;
  held_->since = since;
  held_->granted = granted;
  // Near the end of what renewals may add they add ever less: then a login is due instead.
  if (lease.duration < granted / 2) held_->renewable = false;
  log::debug("vault token renewed", {{"lease", to_text(lease.duration)}});
  return {};
}

expected<void> VaultToken::log_in(Deadline deadline) {
  auto since_failure = now_() - failed_at_;
  bool is_just_refused = failure_ && is_refusal(*failure_) && since_failure >= Duration(0) &&
                         since_failure < kFailedLogin;
  if (is_just_refused) return tl::unexpected<Error>(*failure_);
  auto attempt = [&]() -> expected<VaultLease> {
    auto made = std::visit([](const auto& auth) { return credential_of(auth); }, options_.auth);
    if (!made) return fail_with("log in to Vault", made.error());
    VaultCall call{.path = "auth/" + made->mount + "/login",
                   .body = std::move(made->body),
                   .secret = std::move(made->secret)};
    auto answer = client_.call(call, deadline);
    std::string what = std::string("log in to Vault by ") + made->method;
    if (!answer) return fail_with(what, answer.error());
    auto lease = read_lease(*answer);
    if (!lease) return fail_with(what, lease.error());
    log::info("logged in to vault",
              {{"method", made->method},
               {"lease", lease->duration.count() == 0 ? std::string("unlimited")
                                                      : to_text(lease->duration)}});
    return lease;
  };
  auto lease = attempt();
  ++logins_;
  failure_ = lease ? std::nullopt : std::optional(lease.error());
  failed_at_ = now_();
  if (!lease) return tl::unexpected<Error>(lease.error());
  hold_lease(*lease);
  return {};
}

void VaultToken::hold_lease(const VaultLease& lease) {
  Time now = now_();
  Held held{.token = lease.token, .since = now};
  held.granted = lease.duration;
  held.renewable = lease.renewable;
  if (lease.duration.count() > 0) {
    held.due = now + Duration(lease.duration) * 2 / 3;
    held.ends = now + lease.duration;
  }
  held_ = std::move(held);
}

}  // namespace nodepilot
