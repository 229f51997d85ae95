// Entries that wait for a free place in flight.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>

namespace nodepilot {

// Most urgent first.
enum class Urgency {
  kMissing,  // nothing valid is held: a workload stands still
  kForced,   // a person waits
  kRenewal,
};

// By urgency, then first come, first served. Thread: loop.
class IssueQueue {
 public:
  // An entry that is queued already keeps its place, unless it has become more urgent.
  void push(const std::string& entry_id, Urgency urgency);
  void remove(const std::string& entry_id);
  std::optional<std::string> pop();
  bool contains(const std::string& entry_id) const { return places_.contains(entry_id); }

 private:
  using Place = std::pair<Urgency, std::uint64_t>;

  std::map<Place, std::string> queue_;
  std::map<std::string, Place> places_;  // by entry id
  std::uint64_t next_number_ = 0;
};

}  // namespace nodepilot
