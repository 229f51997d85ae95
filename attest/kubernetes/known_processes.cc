#include "attest/kubernetes/known_processes.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxProcesses = 2048;

}  // namespace

void KnownProcesses::note(std::uint64_t process, const std::string& container, Time asked_at,
                          const Selectors& selectors) {
  auto [known, is_new] = known_.try_emplace(process);
  if (is_new) order_.push_back(process);
  bool is_same = known->second.container == container && known->second.asked_at == asked_at;
  if (!is_same) known->second = {container, asked_at, selectors};
  if (order_.size() <= kMaxProcesses) return;
  known_.erase(order_.front());
  order_.pop_front();
}

std::optional<Selectors> KnownProcesses::recall(std::uint64_t process,
                                                const std::string& container) const {
  auto known = known_.find(process);
  if (known == known_.end() || known->second.container != container) return std::nullopt;
  return known->second.selectors;
}

}  // namespace nodepilot
