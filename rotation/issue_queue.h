// Entries that wait for a free place in flight.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "agent/base/time.h"

namespace nodepilot {

// Most urgent first.
enum class Need {
  kMissing,   // a caller has nothing valid: a workload stands still
  kHeld,      // what is held must be replaced by a deadline
  kPrefetch,  // nobody asks yet
};

struct Urgency {
  Need need = Need::kMissing;
  Time deadline{};  // of kHeld

  friend auto operator<=>(const Urgency&, const Urgency&) = default;
};

// By need, then by deadline, then first come, first served. Thread: loop.
class IssueQueue {
 public:
  // An entry that is queued already keeps its place, unless it has become more urgent.
  void push(const std::string& entry_id, Urgency urgency);
  void remove(const std::string& entry_id);
  std::optional<std::string> pop();
  bool contains(const std::string& entry_id) const { return places_.contains(entry_id); }
  bool empty() const { return queue_.empty(); }

 private:
  struct Place {
    Urgency urgency;
    std::uint64_t number;

    friend auto operator<=>(const Place&, const Place&) = default;
  };

  std::map<Place, std::string> queue_;
  std::map<std::string, Place> places_;  // by entry id
  std::uint64_t next_number_ = 0;
};

}  // namespace nodepilot
