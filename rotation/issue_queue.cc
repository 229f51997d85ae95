#include "rotation/issue_queue.h"

namespace nodepilot {

void IssueQueue::push(const std::string& entry_id, Urgency urgency) {
  auto it = places_.find(entry_id);
  if (it != places_.end() && it->second.urgency <= urgency) return;
  remove(entry_id);
  Place place{urgency, next_number_++};
  queue_.emplace(place, entry_id);
  places_.emplace(entry_id, place);
}

void IssueQueue::remove(const std::string& entry_id) {
  auto it = places_.find(entry_id);
  if (it == places_.end()) return;
  queue_.erase(it->second);
  places_.erase(it);
}

std::optional<std::string> IssueQueue::pop() {
  if (queue_.empty()) return std::nullopt;
  std::string entry_id = queue_.begin()->second;
  remove(entry_id);
  return entry_id;
}

}  // namespace nodepilot
