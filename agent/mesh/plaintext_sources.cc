#include "agent/mesh/plaintext_sources.h"

#include <algorithm>

namespace nodepilot::mesh {

PlaintextSources::PlaintextSources(Time since, std::size_t workloads)
    : since_(since),
      most_(std::clamp(kMost / std::max<std::size_t>(workloads, 1), std::size_t{1},
                       kMostOfWorkload)) {}

void PlaintextSources::note(const std::string& workload, const Sighting& sighting, Time now) {
  Kept& kept = kept_[workload];
  auto [known, is_new] =
      kept.index.try_emplace({sighting.port, sighting.own_tls, sighting.ip}, kept.list.end());
  if (is_new) {
    kept.list.push_front(
        {.port = sighting.port, .ip = sighting.ip, .own_tls = sighting.own_tls, .first = now});
    known->second = kept.list.begin();
  } else {
    kept.list.splice(kept.list.begin(), kept.list, known->second);
  }
  PlaintextSource& source = *known->second;
  source.last = now;
  if (is_new || !sighting.is_end) ++source.times;
  if (kept.list.size() <= most_) return;
  const PlaintextSource& oldest = kept.list.back();
  kept.index.erase({oldest.port, oldest.own_tls, oldest.ip});
  kept.list.pop_back();
  ++kept.dropped;
}

std::map<std::string, PlaintextSources::OfWorkload> PlaintextSources::all() const {
  std::map<std::string, OfWorkload> out;
  for (const auto& [workload, kept] : kept_) {
    out[workload] = {{kept.list.begin(), kept.list.end()}, kept.dropped};
  }
  return out;
}

}  // namespace nodepilot::mesh
