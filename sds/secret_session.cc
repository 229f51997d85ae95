#include "sds/secret_session.h"

#include <algorithm>
#include <set>
#include <utility>

namespace nodepilot {
namespace {

constexpr std::string_view kSecretType =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
// A client that never answers shall not make us remember more than this.
constexpr std::size_t kMaxUnanswered = 16;
constexpr std::size_t kMaxDetailBytes = 512;

}  // namespace

expected<SecretVerdict> SecretSession::on_request(const Request& request) {
  SecretVerdict verdict;
  if (!request.type_url().empty() && request.type_url() != kSecretType) {
    verdict.kind = SecretVerdict::Kind::kOtherType;
    return verdict;
  }
  // The first request may carry version and nonce of a stream that broke: they mean nothing here.
  if (subscribed_) verdict = judge(request);
  if (request.response_nonce() != last_nonce_ && subscribed_) return verdict;
  // Envoy may send its node with the first request only.
  if (request.has_node()) form_ = trust_form(request.node());
  TRY(subscribe(request));
  return verdict;
}

// The client may answer a response after a newer one has left. Such an answer still tells what it
// took, but the names in it are of the past.
SecretVerdict SecretSession::judge(const Request& request) {
  SecretVerdict verdict;
  auto answered = std::find_if(
      unanswered_.begin(), unanswered_.end(),
      [&](const Unanswered& response) { return response.nonce == request.response_nonce(); });
  if (answered == unanswered_.end()) {
    bool current = request.response_nonce() == last_nonce_;
    if (!current) verdict.kind = SecretVerdict::Kind::kStale;
    return verdict;
  }

  verdict.version = std::to_string(answered->version);
  if (!request.has_error_detail() && request.version_info() == verdict.version) {
    verdict.kind = SecretVerdict::Kind::kAck;
    verdict.identities = std::move(answered->identities);
  } else {
    verdict.kind = SecretVerdict::Kind::kNack;
    verdict.detail = request.error_detail().message().substr(0, kMaxDetailBytes);
    ++rejected_;
    for (auto& [name, resource] : resources_) {
      if (resource.version == answered->version) resource.rejected = true;
    }
  }
  unanswered_.erase(unanswered_.begin(), answered + 1);
  return verdict;
}

expected<void> SecretSession::subscribe(const Request& request) {
  std::set<std::string> names(request.resource_names().begin(), request.resource_names().end());
  names.erase("");
  if (names.size() > kMaxSecretNames) {
    return fail(Code::kInvalidArgument, std::to_string(names.size()) +
                                            " resource names on one stream; at most " +
                                            std::to_string(kMaxSecretNames) + " are allowed");
  }
  bool first = !std::exchange(subscribed_, true);
  // After names, an empty list means none.
  if (names.empty() && (first || everything_)) {
    everything_ = true;
    return {};
  }

  bool changed = std::exchange(everything_, false);
  changed |= std::erase_if(resources_, [&](const auto& r) { return !names.contains(r.first); }) > 0;
  for (const std::string& name : names) changed |= resources_.try_emplace(name).second;
  if (!changed) return {};
  for (auto& [name, resource] : resources_) {
    if (resource.rejected) resource = Resource();
  }
  return {};
}

std::optional<SecretResponse> SecretSession::next() {
  if (!subscribed_ || !update_ || under_way_) return std::nullopt;

  std::vector<News> news = find_news();
  bool changes_trust = std::any_of(news.begin(), news.end(), [&](const News& item) {
    return item.content.is_trust() && resources_[item.name].sent;
  });
  bool roots_first = changes_trust ||
                     std::any_of(unanswered_.begin(), unanswered_.end(),
                                 [](const Unanswered& response) { return response.changed_trust; });
  if (roots_first) {
    std::erase_if(news, [](const News& item) { return !item.content.is_trust(); });
  }
  if (news.empty()) return std::nullopt;
  return respond(news, changes_trust);
}

std::vector<SecretSession::News> SecretSession::find_news() {
  if (everything_) {
    for (const std::string& name : all_secret_names(*update_)) resources_.try_emplace(name);
  }
  std::vector<News> news;
  for (const auto& [name, resource] : resources_) {
    auto content = find_secret(*update_, name, form_);
    if (!content) continue;
    std::size_t print = fingerprint(*content);
    if (resource.sent != print) news.push_back({name, std::move(*content), print});
  }
  std::stable_partition(news.begin(), news.end(),
                        [](const News& item) { return item.content.is_trust(); });
  return news;
}

SecretResponse SecretSession::respond(const std::vector<News>& news, bool changes_trust) {
  SecretResponse response;
  ++version_;
  last_nonce_ = make_nonce_();
  under_way_ = true;
  response.message.set_version_info(std::to_string(version_));
  response.message.set_type_url(std::string(kSecretType));
  response.message.set_nonce(last_nonce_);
  std::map<std::string, std::string> serials;  // an identity may go out under two names
  for (const auto& [name, content, print] : news) {
    response.message.add_resources()->PackFrom(render_secret(name, content));
    resources_[name] = Resource{print, version_, false};
    if (!content.is_trust()) {
      serials[content.identity->entry->id] = content.identity->svid->leaf().serial();
    }
  }
  for (const auto& [entry_id, serial] : serials) response.identities.push_back({entry_id, serial});

  unanswered_.push_back({last_nonce_, version_, changes_trust, response.identities});
  if (unanswered_.size() > kMaxUnanswered) unanswered_.pop_front();
  return response;
}

}  // namespace nodepilot
