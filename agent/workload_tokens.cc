#include "agent/workload_tokens.h"

#include <utility>

#include "rotation/ca/istiod/bearer_token.h"

namespace nodepilot {
namespace {

// More would only ask a broken workload again and again.
constexpr std::size_t kMaxTried = 3;

}  // namespace

WorkloadTokens::WorkloadTokens(std::filesystem::path file, ProcessFiles files)
    : file_(std::move(file)), files_(std::move(files)) {}

std::shared_ptr<void> WorkloadTokens::note(const std::shared_ptr<const Peer>& peer,
                                           const std::vector<EntryPtr>& entries) {
  using Place = decltype(Callers::peers)::iterator;
  std::vector<Place> places;
  places.reserve(entries.size());
  std::lock_guard lock(callers_->mutex);
  for (const EntryPtr& entry : entries) places.push_back(callers_->peers.emplace(entry->id, peer));
  return {nullptr, [callers = callers_, places = std::move(places)](void*) {
            std::lock_guard guard(callers->mutex);
            for (Place place : places) callers->peers.erase(place);
          }};
}

expected<SecretBytes> WorkloadTokens::token(const Entry& entry) {
  std::vector<std::shared_ptr<const Peer>> newest;
  {
    std::lock_guard lock(callers_->mutex);
    auto [begin, end] = callers_->peers.equal_range(entry.id);
    while (begin != end && newest.size() < kMaxTried) newest.push_back((--end)->second);
  }
  expected<SecretBytes> token =
      fail(Code::kUnavailable, "token of the workload: no process of " + entry.spiffe_id.str() +
                                   " is connected, and only it can see its token");
  for (const auto& peer : newest) {
    token = files_.read(peer, file_, kMaxTokenBytes);
    if (token) token = parse_bearer_token(*token, file_.string() + " of the workload");
    if (token) return token;
  }
  return token;
}

}  // namespace nodepilot
