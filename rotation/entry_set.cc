#include "rotation/entry_set.h"

#include <algorithm>
#include <set>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

bool holds(const Entry& rule, const Selectors& found) {
  // A rule without conditions would hand its identity to everybody.
  if (rule.match.empty() && rule.match_any.empty()) return false;
  return std::includes(found.begin(), found.end(), rule.match.begin(), rule.match.end()) &&
         std::all_of(rule.match_any.begin(), rule.match_any.end(),
                     [&](const SelectorKey& key) { return !values_of(found, key).empty(); });
}

EntryPtr identity_of(const EntryPtr& rule, SpiffeId spiffe_id) {
  Entry made = *rule;
  made.id = rule->id + "=" + spiffe_id.str();
  made.spiffe_id = std::move(spiffe_id);
  made.id_template.reset();
  return std::make_shared<const Entry>(std::move(made));
}

// The key of a selector is unknown here: what has most in common with it tells best what is there
// instead.
std::string nearest(const Selector& wanted, const Selectors& found) {
  std::size_t colon = wanted.value.rfind(':');
  while (colon != std::string::npos && colon > 0) {
    auto values = values_of(found, {wanted.type, wanted.value.substr(0, colon)});
    if (!values.empty()) {
      std::string key = wanted.type + ":" + wanted.value.substr(0, colon) + ":";
      return key + std::string(values.front()) + (values.size() > 1 ? " and others" : "");
    }
    colon = wanted.value.rfind(':', colon - 1);
  }
  return "none of this kind";
}

std::string first_miss(const Entry& rule, const Selectors& found) {
  for (const Selector& wanted : rule.match) {
    if (!found.contains(wanted)) {
      return "wants " + wanted.str() + ", found " + nearest(wanted, found);
    }
  }
  for (const SelectorKey& key : rule.match_any) {
    if (values_of(found, key).empty()) return "wants " + key.str() + ":*, found none";
  }
  return "asks for nothing, and so gives nothing";
}

RuleVerdict judge(const EntryPtr& rule, const Selectors& found) {
  if (!holds(*rule, found)) return {rule, std::nullopt, first_miss(*rule, found)};
  if (!rule->id_template) return {rule, rule->spiffe_id, ""};
  auto id = rule->id_template->fill(found);
  if (!id) return {rule, std::nullopt, id.error().message};
  return {rule, *std::move(id), ""};
}

}  // namespace

EntrySet::EntrySet(std::vector<Entry> rules) {
  for (Entry& rule : rules) {
    rules_.push_back(std::make_shared<const Entry>(std::move(rule)));
    if (rules_.back()->id_template) continue;
    fixed_.push_back(rules_.back());
    by_id_.emplace(fixed_.back()->id, fixed_.back());
  }
}

std::vector<EntryPtr> EntrySet::match(const Selectors& selectors) const {
  std::vector<EntryPtr> found;
  std::set<SpiffeId> ids;
  for (const EntryPtr& rule : rules_) {
    if (!holds(*rule, selectors)) continue;
    EntryPtr identity = rule;
    if (rule->id_template) {
      auto id = rule->id_template->fill(selectors);
      if (!id) continue;
      identity = identity_of(rule, *std::move(id));
    }
    if (ids.insert(identity->spiffe_id).second) found.push_back(std::move(identity));
  }
  return found;
}

std::vector<RuleVerdict> EntrySet::explain(const Selectors& selectors) const {
  std::vector<RuleVerdict> verdicts;
  std::set<SpiffeId> ids;
  for (const EntryPtr& rule : rules_) {
    verdicts.push_back(judge(rule, selectors));
    RuleVerdict& verdict = verdicts.back();
    if (!verdict.granted || ids.insert(*verdict.granted).second) continue;
    verdict = {rule, std::nullopt, "an earlier rule gives " + verdict.granted->str()};
  }
  return verdicts;
}

EntryPtr EntrySet::find(const std::string& entry_id) const {
  auto it = by_id_.find(entry_id);
  return it == by_id_.end() ? nullptr : it->second;
}

std::vector<EntryPtr> EntrySet::made_from_templates(const SpiffeId& spiffe_id) const {
  std::vector<EntryPtr> made;
  for (const EntryPtr& rule : rules_) {
    if (rule->id_template && rule->id_template->fits(spiffe_id)) {
      made.push_back(identity_of(rule, spiffe_id));
    }
  }
  return made;
}

}  // namespace nodepilot
