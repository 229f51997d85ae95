#include "rotation/federation/federation_keeper.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/log.h"
#include "rotation/federation/bundle_freshness.h"

namespace nodepilot {
namespace {

constexpr Duration kDefaultInterval = std::chrono::minutes(5);  // Federation 4.1
constexpr Duration kShortestInterval = std::chrono::seconds(10);
constexpr Duration kLongestInterval = std::chrono::hours(24);
// With nothing held there is no interval yet, and somebody may be waiting.
constexpr Duration kIntervalWithoutBundle = std::chrono::seconds(30);
constexpr Duration kStartSpread = std::chrono::seconds(1);

// Up to a tenth early, so that agents started together do not poll together; never late.
Duration jittered(Duration interval, double jitter) {
  return std::chrono::floor<Duration>(interval * (0.9 + jitter / 10));
}

Duration interval_of(const std::optional<BundleDocument>& held) {
  if (!held) return kIntervalWithoutBundle;
  return std::clamp<Duration>(
      held->refresh_hint.value_or(std::chrono::floor<std::chrono::seconds>(kDefaultInterval)),
      kShortestInterval, kLongestInterval);
}

std::string text_of(const std::optional<std::uint64_t>& sequence) {
  return sequence ? std::to_string(*sequence) : "none";
}

}  // namespace

FederationKeeper::FederationKeeper(Clock& clock, Workers& workers, BundleFetcher& fetcher,
                                   IdentityStore& store, const std::vector<Federation>& federations,
                                   const std::filesystem::path& state_dir, Jitter jitter)
    : clock_(clock),
      workers_(workers),
      fetcher_(fetcher),
      store_(store),
      stored_(state_dir),
      jitter_(std::move(jitter)),
      self_(std::make_shared<FederationKeeper*>(this)) {
  for (const Federation& federation : federations) {
    const TrustDomain& name = federation.trust_domain;
    FederationStatus status{.trust_domain = name, .url = federation.url.str()};
    links_.try_emplace(name, federation, std::move(status), clock_,
                       [this, name] { poll(links_.at(name)); });
  }
}

template <class Work, class Then>
void FederationKeeper::run(Work work, Then then) {
  auto done = [weak = std::weak_ptr<FederationKeeper*>(self_), then](auto result) {
    if (auto self = weak.lock()) then(std::move(result));
  };
  workers_.run(std::move(work), std::move(done));
}

void FederationKeeper::start() {
  std::set<TrustDomain> names;
  for (const auto& [name, link] : links_) names.insert(name);
  if (auto opened = stored_.open(names); !opened) {
    log::error("federated bundles cannot be stored", {{"error", opened.error().message}});
  }
  for (auto& [name, link] : links_) {
    load(link);
    link.status.next_poll = clock_.now() + std::chrono::floor<Duration>(kStartSpread * jitter_());
    link.alarm.set(*link.status.next_poll);
  }
}

void FederationKeeper::load(Link& link) {
  const TrustDomain& name = link.federation.trust_domain;
  auto copy = stored_.load(name);
  if (!copy) {
    log::error("stored bundle not used",
               {{"trust_domain", name.name()}, {"error", copy.error().message}});
  } else if (*copy) {
    log::info("stored bundle loaded",
              {{"trust_domain", name.name()}, {"sequence", text_of((*copy)->sequence)}});
    return take(link, **std::move(copy));
  }
  const auto* spiffe = std::get_if<HttpsSpiffe>(&link.federation.profile);
  if (!spiffe || !spiffe->bundle_file) return;
  auto first = read_first_bundle(name, *spiffe->bundle_file);
  if (first) return take(link, *std::move(first));
  log::error("first bundle not read",
             {{"trust_domain", name.name()}, {"error", first.error().message}});
}

void FederationKeeper::poll(Link& link) {
  link.status.next_poll.reset();
  link.poll_began = clock_.now();
  ++link.status.polls;
  const auto* spiffe = std::get_if<HttpsSpiffe>(&link.federation.profile);
  if (!link.held && spiffe && spiffe->bundle_file) return read_first(link);
  auto anchors = anchors_of(link);
  if (!anchors) return finish(link, tl::unexpected(anchors.error()));
  fetch(link, *anchors);
}

void FederationKeeper::read_first(Link& link) {
  const auto& spiffe = std::get<HttpsSpiffe>(link.federation.profile);
  run([name = link.federation.trust_domain,
       file = *spiffe.bundle_file] { return read_first_bundle(name, file); },
      [this, &link](expected<BundleDocument> first) {
        if (!first) return finish(link, std::move(first));
        take(link, *std::move(first));
        fetch(link, link.bundle);
      });
}

void FederationKeeper::fetch(Link& link, const std::shared_ptr<const TrustBundle>& anchors) {
  auto work = [&fetcher = fetcher_, federation = link.federation, anchors,
               now = clock_.now()]() -> expected<BundleDocument> {
    std::string text = TRY(fetcher.fetch(federation, anchors, now));
    auto document = parse_bundle_document(federation.trust_domain, text);
    if (!document) return fail_with("GET " + federation.url.str(), document.error());
    return document;
  };
  run(std::move(work),
      [this, &link](expected<BundleDocument> result) { finish(link, std::move(result)); });
}

expected<std::shared_ptr<const TrustBundle>> FederationKeeper::anchors_of(const Link& link) const {
  const auto* spiffe = std::get_if<HttpsSpiffe>(&link.federation.profile);
  if (!spiffe) return nullptr;
  TrustDomain endpoint = spiffe->endpoint_id.trust_domain();
  auto other = links_.find(endpoint);
  auto bundle = other == links_.end() ? store_.bundle() : other->second.bundle;
  if (bundle && !bundle->roots().empty()) return bundle;
  std::string what = "the endpoint " + spiffe->endpoint_id.str() + " cannot be known: ";
  if (!bundle) {
    return fail(Code::kUnavailable, what + "there is no bundle of " + endpoint.name() + " yet");
  }
  return fail(Code::kFailedPrecondition,
              fmt::format("{}the bundle of {} has no root; to begin again from a first bundle, "
                          "remove {} and restart",
                          what, endpoint.name(), stored_.file_of(endpoint).string()));
}

void FederationKeeper::finish(Link& link, expected<BundleDocument> result) {
  if (!result) return fail_poll(link, std::move(result).error());
  Freshness freshness = link.held ? compare(*result, *link.held) : Freshness::kNewer;
  if (freshness == Freshness::kOlder) {
    return fail_poll(
        link,
        {Code::kAborted,
         fmt::format("GET {}: its sequence {} is older than {}, which is held; ignored",
                     link.status.url, text_of(result->sequence), text_of(link.held->sequence))});
  }
  Time now = clock_.now();
  link.status.last_success = now;
  link.status.last_error.reset();
  link.status.failures = 0;
  if (freshness == Freshness::kSameSequence) {
    log::warn("federated bundle changed, but not its sequence",
              {{"trust_domain", link.federation.trust_domain.name()},
               {"sequence", text_of(result->sequence)}});
  }
  bool unchanged = freshness == Freshness::kUnchanged;
  bool to_save = !unchanged || result->refresh_hint != link.held->refresh_hint;
  log::info(unchanged ? "federated bundle unchanged" : "federated bundle refreshed",
            {{"trust_domain", link.federation.trust_domain.name()},
             {"url", link.status.url},
             {"sequence", text_of(result->sequence)},
             {"roots", result->bundle.roots().size()},
             {"jwt_keys", result->bundle.jwt_authorities().size()},
             {"skipped_keys", result->skipped.size()},
             {"ms", (now - link.poll_began).count()}});
  take(link, *std::move(result));
  if (to_save) return save(link);
  plan(link);
}

void FederationKeeper::fail_poll(Link& link, Error error) {
  ++link.status.failures;
  ++link.status.failed_polls;
  plan(link);
  log::warn("federated bundle not refreshed",
            {{"trust_domain", link.federation.trust_domain.name()},
             {"url", link.status.url},
             {"error", error.message},
             {"held_sequence", link.held ? text_of(link.held->sequence) : "nothing held"},
             {"failures", link.status.failures},
             {"next_in", to_text(*link.status.next_poll - clock_.now())},
             {"ms", (clock_.now() - link.poll_began).count()}});
  link.status.last_error = std::move(error);
}

void FederationKeeper::take(Link& link, BundleDocument document) {
  link.status.has_bundle = true;
  link.status.sequence = document.sequence;
  link.bundle = std::make_shared<const TrustBundle>(document.bundle);
  link.held = std::move(document);
  store_.set_federated(link.federation.trust_domain, link.bundle);
}

void FederationKeeper::save(Link& link) {
  run([stored = stored_, document = *link.held] { return stored.save(document); },
      [this, &link](const expected<void>& saved) {
        if (!saved) {
          log::error("federated bundle not stored",
                     {{"trust_domain", link.federation.trust_domain.name()},
                      {"error", saved.error().message}});
        }
        plan(link);
      });
}

// After a failure too, the next poll is a whole interval away (Federation 6.2).
void FederationKeeper::plan(Link& link) {
  link.status.next_poll = clock_.now() + jittered(interval_of(link.held), jitter_());
  link.alarm.set(*link.status.next_poll);
}

std::vector<FederationStatus> FederationKeeper::status() const {
  std::vector<FederationStatus> all;
  for (const auto& [name, link] : links_) all.push_back(link.status);
  return all;
}

}  // namespace nodepilot
