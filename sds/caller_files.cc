#include "sds/caller_files.h"

#include <utility>

namespace nodepilot {

bool CallerFiles::ask(const std::set<std::string>& names, const std::vector<EntryPtr>& entries) {
  // Every file name begins so.
  auto begin = names.lower_bound("file-");
  auto end = names.lower_bound("file.");
  if (asked_.empty() && begin == end) return false;

  // With other entries nothing of what was granted or refused holds.
  bool changed = std::exchange(entries_, entries) != entries && !asked_.empty();
  if (changed) asked_.clear();
  changed |= std::erase_if(asked_, [&](const auto& a) { return !names.contains(a.first); }) > 0;
  for (auto name = begin; name != end; ++name) {
    if (!is_file_name(*name) || asked_.contains(*name)) continue;
    asked_.emplace(*name, look_up(*name, entries));
    changed = true;
  }
  return changed;
}

std::map<std::string, FileAnswer> CallerFiles::answers() const {
  std::map<std::string, FileAnswer> answers;
  for (const auto& [name, asked] : asked_) {
    answers[name] = asked.watch ? asked.watch->answer()
                                : FileAnswer{SecretState::kAbsent, nullptr, asked.why_not};
  }
  return answers;
}

CallerFiles::Asked CallerFiles::look_up(const std::string& name,
                                        const std::vector<EntryPtr>& entries) {
  auto source = find_source(name, entries, system_roots_);
  if (!source) return {nullptr, source.error().message};
  auto watch = files_.watch(*source, on_change_);
  if (!watch) return {nullptr, watch.error().message};
  return {*std::move(watch), ""};
}

}  // namespace nodepilot
