#include "sds/secret_ledger.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace nodepilot {
namespace {

// A client that never answers shall not make us remember more than this.
constexpr std::size_t kMaxUnanswered = 16;
// Ours are digests; what is longer was never ours.
constexpr std::size_t kMaxVersionBytes = 64;

tl::unexpected<Error> too_much(std::size_t given, const char* what, std::size_t allowed) {
  return fail(Code::kInvalidArgument, std::to_string(given) + what + " on one stream; at most " +
                                          std::to_string(allowed) + " are allowed");
}

}  // namespace

bool SecretBatch::holds_key() const {
  return std::any_of(items.begin(), items.end(),
                     [](const Item& item) { return item.content.has_key(); });
}

SecretLedger::SecretLedger(const SecretOptions& options, bool tells_gone, NonceSource make_nonce)
    : options_(options),
      tells_gone_(tells_gone),
      make_nonce_(std::move(make_nonce)),
      form_(options.form) {}

expected<bool> SecretLedger::subscribe(SecretNames wanted) {
  const auto& names = wanted.names;
  if (names.size() > kMaxSecretNames) {
    return too_much(names.size(), " resource names", kMaxSecretNames);
  }
  std::size_t bytes =
      std::accumulate(names.begin(), names.end(), std::size_t{0},
                      [](std::size_t sum, const std::string& name) { return sum + name.size(); });
  if (bytes > kMaxSecretNameBytes) {
    return too_much(bytes, " bytes of resource names", kMaxSecretNameBytes);
  }
  if (wanted == wanted_) return false;
  wanted_ = std::move(wanted);
  held_ = bytes;
  news_ = true;
  if (!wanted_.everything) {
    std::erase_if(resources_, [&](const auto& r) { return !wanted_.names.contains(r.first); });
  }
  return true;
}

void SecretLedger::set_node(const envoy::config::core::v3::Node& node) {
  TrustForm form = trust_form(node, options_.form);
  news_ |= form != std::exchange(form_, form);
}

void SecretLedger::holds(const std::string& name, const std::string& version) {
  if (version.empty() || (!wanted_.everything && !wanted_.names.contains(name))) return;
  resources_[name].told = version.substr(0, kMaxVersionBytes + 1);
}

void SecretLedger::forget(const std::string& name) {
  auto it = resources_.find(name);
  if (it == resources_.end()) return;
  it->second = Resource();
  news_ = true;
}

void SecretLedger::forget_rejected() {
  for (auto& [name, resource] : resources_) {
    if (resource.rejected) resource = Resource();
  }
}

void SecretLedger::set_update(UpdatePtr update) {
  view_.update = std::move(update);
  news_ = true;
}

void SecretLedger::set_files(std::map<std::string, FileAnswer> files) {
  view_.files = std::move(files);
  news_ = true;
}

SecretVerdict SecretLedger::answer(const std::string& nonce, const google::rpc::Status* error,
                                   const std::string* version) {
  SecretVerdict verdict;
  auto answered = std::find_if(unanswered_.begin(), unanswered_.end(),
                               [&](const Unanswered& response) { return response.nonce == nonce; });
  if (answered == unanswered_.end()) {
    if (nonce != last_nonce_) verdict.kind = SecretVerdict::Kind::kStale;
    return verdict;
  }
  verdict.version = std::to_string(answered->number);
  if (error == nullptr && (version == nullptr || *version == verdict.version)) {
    verdict.kind = SecretVerdict::Kind::kAck;
    verdict.identities = std::move(answered->identities);
    verdict.roots = std::move(answered->roots);
  } else {
    verdict.kind = SecretVerdict::Kind::kNack;
    if (error != nullptr) verdict.detail = error->message().substr(0, kMaxDetailBytes);
    ++rejected_;
    for (auto& [name, resource] : resources_) {
      if (resource.number == answered->number) resource.rejected = true;
    }
  }
  // The client may answer a response after a newer one has left; the older ones it skips.
  unanswered_.erase(unanswered_.begin(), answered + 1);
  news_ = true;  // certificates may have waited for this
  return verdict;
}

bool SecretLedger::waits() const {
  if (!view_.update) return true;
  if (wanted_.everything && (!view_.update->bundle || !view_.update->settled)) return true;
  return std::any_of(wanted_.names.begin(), wanted_.names.end(), [&](const std::string& name) {
    return find_secret(view_, name, options_, form_).state == SecretState::kPending;
  });
}

std::optional<SecretBatch> SecretLedger::next() {
  if (!news_ || !view_.update || under_way_) return std::nullopt;
  news_ = false;

  SecretBatch batch = look();
  bool changes_trust = std::any_of(
      batch.items.begin(), batch.items.end(),
      [](const SecretBatch::Item& item) { return item.content.is_trust() && item.replaces; });
  bool roots_first = changes_trust ||
                     std::any_of(unanswered_.begin(), unanswered_.end(),
                                 [](const Unanswered& response) { return response.changed_trust; });
  if (roots_first) {
    std::erase_if(batch.items,
                  [](const SecretBatch::Item& item) { return !item.content.is_trust(); });
  }
  if (batch.items.empty() && batch.gone.empty()) return std::nullopt;
  send(batch, changes_trust);
  return batch;
}

SecretBatch SecretLedger::look() {
  std::set<std::string> names = wanted_.names;
  if (wanted_.everything) {
    for (std::string& name : all_secret_names(*view_.update)) names.insert(std::move(name));
  }
  SecretBatch batch;
  for (const std::string& name : names) look_at(name, batch);

  // A part of everything that is no part of it any more.
  std::erase_if(resources_, [&](const auto& resource) {
    const std::string& name = resource.first;
    if (names.contains(name)) return false;
    if (find_secret(view_, name, options_, form_).state == SecretState::kPending) return false;
    if (tells_gone_ && resource.second.told != "") batch.gone.push_back(name);
    return true;
  });
  std::stable_partition(batch.items.begin(), batch.items.end(),
                        [](const SecretBatch::Item& item) { return item.content.is_trust(); });
  return batch;
}

void SecretLedger::look_at(const std::string& name, SecretBatch& batch) {
  SecretLookup found = find_secret(view_, name, options_, form_);
  if (found.state == SecretState::kPending) return;
  Resource& resource = resources_[name];
  if (found.state == SecretState::kAbsent) {
    if (tells_gone_ && resource.told != "") batch.gone.push_back(name);
    resource.told = "";
    if (!absent_) absent_ = {name, std::move(found.why)};
    return;
  }
  std::string version = secret_version(found.content);
  if (resource.told == version) return;
  bool replaces = resource.told && !resource.told->empty();
  batch.items.push_back({name, std::move(found.content), std::move(version), replaces});
}

void SecretLedger::send(SecretBatch& batch, bool changes_trust) {
  ++number_;
  last_nonce_ = make_nonce_();
  under_way_ = true;
  batch.version = std::to_string(number_);
  batch.nonce = last_nonce_;
  std::map<std::string, std::string> serials;  // an identity may go out under two names
  const BundlePtr& own = view_.update->bundle;
  for (const SecretBatch::Item& item : batch.items) {
    resources_[item.name] = {item.version, number_, false};
    const auto& bundles = item.content.bundles;
    if (std::find(bundles.begin(), bundles.end(), own.get()) != bundles.end()) batch.roots = own;
    if (const HeldSvid* identity = item.content.identity) {
      serials[identity->entry->id] = identity->svid->leaf().serial();
    }
  }
  for (const auto& [entry_id, serial] : serials) batch.identities.push_back({entry_id, serial});

  unanswered_.push_back({last_nonce_, number_, changes_trust, batch.identities, batch.roots});
  if (unanswered_.size() > kMaxUnanswered) unanswered_.pop_front();
}

}  // namespace nodepilot
