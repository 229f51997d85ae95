#include "sds/secret_session.h"

#include <utility>

namespace nodepilot {

expected<SecretVerdict> SecretSession::on_request(const Request& request) {
  SecretVerdict verdict;
  if (!request.type_url().empty() && request.type_url() != kSecretType) {
    verdict.kind = SecretVerdict::Kind::kOtherType;
    verdict.detail = request.type_url().substr(0, kMaxDetailBytes);
    return verdict;
  }
  // The first request may carry version and nonce of a stream that broke: they mean nothing here.
  if (started_) {
    verdict = ledger_.answer(request.response_nonce(),
                             request.has_error_detail() ? &request.error_detail() : nullptr,
                             &request.version_info());
    // The names in an answer to an older response are of the past.
    if (request.response_nonce() != ledger_.last_nonce()) return verdict;
  }
  if (request.has_node()) ledger_.set_node(request.node());
  TRY(subscribe(request));
  started_ = true;
  return verdict;
}

expected<void> SecretSession::subscribe(const Request& request) {
  SecretNames wanted;
  wanted.names = {request.resource_names().begin(), request.resource_names().end()};
  wanted.names.erase("");
  bool star = wanted.names.erase("*") > 0;
  bool names = star || !wanted.names.empty();
  // An empty list means everything before any name has come, and nothing after.
  wanted.everything = star || (!names && !named_);
  named_ |= names;
  if (TRY(ledger_.subscribe(std::move(wanted)))) ledger_.forget_rejected();
  return {};
}

std::optional<SecretSession::Response> SecretSession::next() {
  if (!started_) return std::nullopt;
  auto batch = ledger_.next();
  if (!batch) return std::nullopt;
  Response response;
  response.message.set_version_info(batch->version);
  response.message.set_type_url(std::string(kSecretType));
  response.message.set_nonce(batch->nonce);
  for (const SecretBatch::Item& item : batch->items) {
    response.message.add_resources()->PackFrom(render_secret(item.name, item.content));
  }
  response.identities = std::move(batch->identities);
  response.roots = std::move(batch->roots);
  response.holds_key = batch->holds_key();
  return response;
}

}  // namespace nodepilot
