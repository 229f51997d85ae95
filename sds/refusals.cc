#include "sds/refusals.h"

#include <fmt/format.h>

#include <algorithm>

namespace nodepilot {
namespace {

constexpr std::uint32_t kRefs = 1U << 24;  // six hexadecimal digits

bool same_process(const Refusal& a, const Refusal& b) {
  return a.pid == b.pid && a.process.uid == b.process.uid && a.process.gid == b.process.gid &&
         a.process.executable == b.process.executable &&
         a.process.cgroup_id == b.process.cgroup_id && a.process.cgroup == b.process.cgroup;
}

// Cuts what is too long, so that a process with thousands of groups or labels cannot fill us up.
Refusal shortened(const Peer& peer, Denial denial, std::size_t max_bytes) {
  Refusal refusal;
  refusal.pid = peer.pid();
  refusal.process = peer.facts();
  refusal.method = std::move(denial.method);
  refusal.code = denial.code;
  refusal.cause = std::move(denial.cause);
  refusal.findings = std::move(denial.findings);

  std::size_t left = max_bytes;
  auto cut = [&left](std::string& text) {
    text.resize(std::min(text.size(), left / 2));
    left -= text.size();
  };
  cut(refusal.process.cgroup);
  cut(refusal.cause);
  for (Finding& finding : refusal.findings) {
    if (finding.failure) cut(finding.failure->message);
  }
  while (!denial.selectors.empty()) {
    auto selector = denial.selectors.begin();
    std::size_t bytes = sizeof(Selector) + selector->type.size() + selector->value.size();
    if (bytes > left) break;
    left -= bytes;
    refusal.selectors.insert(refusal.selectors.end(), denial.selectors.extract(selector));
  }
  refusal.selectors_left_out = denial.selectors.size();
  return refusal;
}

bool same_reason(const Refusal& a, const Refusal& b) {
  return a.method == b.method && a.code == b.code && a.cause == b.cause &&
         a.selectors == b.selectors;
}

}  // namespace

std::string Refusals::note(const Peer& peer, Denial denial) {
  ++counts_[denial.code];
  Refusal refusal = shortened(peer, std::move(denial), bounds_.bytes_per_record);
  refusal.last = clock_.now();
  auto same = std::find_if(kept_.begin(), kept_.end(), [&](const Refusal& kept) {
    return same_process(kept, refusal) && same_reason(kept, refusal);
  });
  if (same != kept_.end()) {
    ++same->count;
    same->last = refusal.last;
    same->findings = std::move(refusal.findings);
    kept_.splice(kept_.end(), kept_, same);
    return same->ref;
  }
  make_room(peer.uid());
  refusal.first = refusal.last;
  refusal.ref = fresh_ref();
  ++by_uid_[peer.uid()];
  return kept_.emplace_back(std::move(refusal)).ref;
}

const Refusal* Refusals::find(std::string_view ref) const {
  auto found = std::find_if(kept_.begin(), kept_.end(),
                            [&](const Refusal& kept) { return kept.ref == ref; });
  return found == kept_.end() ? nullptr : &*found;
}

std::string Refusals::fresh_ref() const {
  std::string ref;
  do {
    ref = fmt::format("{:06x}", random_() % kRefs);
  } while (find(ref) != nullptr);
  return ref;
}

// Of a uid that has its share, its own oldest goes; when all places are taken, the oldest of the
// uid that has most.
void Refusals::make_room(uid_t uid) {
  auto own = by_uid_.find(uid);
  if (own == by_uid_.end() || own->second < bounds_.records_per_uid) {
    if (kept_.size() < bounds_.records) return;
    auto fewer = [](const auto& a, const auto& b) { return a.second < b.second; };
    std::size_t most = std::max_element(by_uid_.begin(), by_uid_.end(), fewer)->second;
    return drop(std::find_if(kept_.begin(), kept_.end(), [&](const Refusal& kept) {
      return by_uid_.at(kept.process.uid) == most;
    }));
  }
  drop(std::find_if(kept_.begin(), kept_.end(),
                    [&](const Refusal& kept) { return kept.process.uid == uid; }));
}

void Refusals::drop(Kept::iterator oldest) {
  auto owner = by_uid_.find(oldest->process.uid);
  if (--owner->second == 0) by_uid_.erase(owner);
  kept_.erase(oldest);
}

}  // namespace nodepilot
