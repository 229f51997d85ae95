#include "rotation/held_back.h"

#include <utility>

namespace nodepilot {

void HeldBack::hold(Item item) {
  std::string entry_id = item.entry->id;
  items_.insert_or_assign(std::move(entry_id), std::move(item));
}

std::vector<HeldBack::Item> HeldBack::take_begun(Time now) {
  std::vector<Item> begun;
  std::erase_if(items_, [&](const auto& held) {
    if (held.second.svid.validity().not_before > now) return false;
    begun.push_back(held.second);
    return true;
  });
  return begun;
}

std::vector<std::string> HeldBack::clear() {
  std::vector<std::string> entry_ids;
  for (const auto& [entry_id, item] : std::exchange(items_, {})) entry_ids.push_back(entry_id);
  return entry_ids;
}

std::optional<Time> HeldBack::next(Time now) const {
  std::optional<Time> next;
  for (const auto& [entry_id, item] : items_) {
    Time begin = item.svid.validity().not_before;
    if (begin > now && (!next || begin < *next)) next = begin;
  }
  return next;
}

}  // namespace nodepilot
