#include "sds/delta_secret_session.h"

#include <algorithm>
#include <utility>

namespace nodepilot {

expected<SecretVerdict> DeltaSecretSession::on_request(const Request& request) {
  SecretVerdict verdict;
  if (!request.type_url().empty() && request.type_url() != kSecretType) {
    verdict.kind = SecretVerdict::Kind::kOtherType;
    verdict.detail = request.type_url().substr(0, kMaxDetailBytes);
    return verdict;
  }
  // A request without nonce answers nothing; in the first one the nonce is of a stream that broke.
  if (started_ && !request.response_nonce().empty()) {
    verdict = ledger_.answer(request.response_nonce(),
                             request.has_error_detail() ? &request.error_detail() : nullptr,
                             /*version=*/nullptr);
  }
  if (request.has_node()) ledger_.set_node(request.node());
  TRY(subscribe(request));
  if (!std::exchange(started_, true)) TRY(resume(request));
  return verdict;
}

expected<void> DeltaSecretSession::subscribe(const Request& request) {
  const auto& subscribed = request.resource_names_subscribe();
  const auto& unsubscribed = request.resource_names_unsubscribe();
  SecretNames wanted = ledger_.wanted();
  wanted.names.insert(subscribed.begin(), subscribed.end());
  for (const std::string& name : unsubscribed) {
    if (name == "*") wanted.everything = false;
    wanted.names.erase(name);
  }
  wanted.names.erase("");
  // The first request asks for everything by naming nothing, too.
  bool names_nothing = std::all_of(subscribed.begin(), subscribed.end(),
                                   [](const std::string& name) { return name.empty(); });
  if (wanted.names.erase("*") > 0 || (!started_ && names_nothing)) wanted.everything = true;
  TRY(ledger_.subscribe(std::move(wanted)));
  // A client that names what it has subscribed to already has lost it. One that unsubscribes from a
  // name is to hear whether that is still a part of everything.
  for (const std::string& name : subscribed) ledger_.forget(name);
  for (const std::string& name : unsubscribed) ledger_.forget(name);
  return {};
}

expected<void> DeltaSecretSession::resume(const Request& request) {
  const auto& versions = request.initial_resource_versions();
  if (versions.size() > kMaxSecretNames) {
    return fail(Code::kInvalidArgument, std::to_string(versions.size()) +
                                            " initial resource versions; at most " +
                                            std::to_string(kMaxSecretNames) + " are allowed");
  }
  for (const auto& [name, version] : versions) ledger_.holds(name, version);
  return {};
}

std::optional<DeltaSecretSession::Response> DeltaSecretSession::next() {
  if (!started_) return std::nullopt;
  auto batch = ledger_.next();
  if (!batch) return std::nullopt;
  Response response;
  response.message.set_system_version_info(batch->version);
  response.message.set_type_url(std::string(kSecretType));
  response.message.set_nonce(batch->nonce);
  for (const SecretBatch::Item& item : batch->items) {
    auto& resource = *response.message.add_resources();
    resource.set_name(item.name);
    resource.set_version(item.version);
    resource.mutable_resource()->PackFrom(render_secret(item.name, item.content));
  }
  for (const std::string& name : batch->gone) response.message.add_removed_resources(name);
  response.identities = std::move(batch->identities);
  response.roots = std::move(batch->roots);
  response.holds_key = batch->holds_key();
  return response;
}

}  // namespace nodepilot
