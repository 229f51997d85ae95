#include "rotation/root_change.h"

#include <algorithm>

namespace nodepilot {
namespace {

constexpr std::size_t kMaxSigners = 16;

}  // namespace

std::vector<std::string> RootChange::left_behind(const SvidPtr& before, const X509Svid& fresh) {
  const Certificate& root = fresh.root();
  if (std::find(signers_.begin(), signers_.end(), root) != signers_.end()) return {};
  if (signers_.size() == kMaxSigners) signers_.erase(signers_.begin());
  signers_.push_back(root);
  std::vector<std::string> others;
  if (!before || before->root() == root) return others;
  for (const EntryPtr& entry : store_.identities()) {
    SvidPtr svid = store_.svid(entry->id);
    if (svid && !(svid->root() == root)) others.push_back(entry->id);
  }
  return others;
}

std::vector<std::string> RootChange::set_out(const std::vector<std::string>& entry_ids) {
  std::vector<std::string> chosen;
  std::copy_if(entry_ids.begin(), entry_ids.end(), std::back_inserter(chosen),
               [&](const std::string& entry_id) {
                 return store_.svid(entry_id) && on_their_way_.insert(entry_id).second;
               });
  return chosen;
}

}  // namespace nodepilot
