#include "agent/rules_text.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/cli_text.h"

namespace nodepilot {
namespace {

bool is_granted(const RuleVerdict& verdict) { return verdict.granted.has_value(); }

}  // namespace

std::string verdicts_text(const std::vector<RuleVerdict>& verdicts) {
  std::vector<std::vector<std::string>> rows;
  rows.reserve(verdicts.size());
  for (const RuleVerdict& verdict : verdicts) {
    rows.push_back({"rule " + verdict.rule->id, verdict.granted ? "MATCH" : "MISS",
                    verdict.granted ? verdict.granted->str() : printable(verdict.miss)});
  }
  auto granted = std::count_if(verdicts.begin(), verdicts.end(), is_granted);
  std::string result = granted == 0 ? "no identity"
                       : granted == 1
                           ? "1 identity"
                           : std::to_string(granted) + " identities, the first is the default";
  return render_table(rows) + "result: " + result + "\n";
}

std::string verdicts_json(const std::vector<RuleVerdict>& verdicts) {
  auto rules = nlohmann::json::array();
  for (const RuleVerdict& verdict : verdicts) {
    nlohmann::json rule = {{"rule", verdict.rule->id}, {"granted", nullptr}, {"miss", nullptr}};
    if (verdict.granted) {
      rule["granted"] = verdict.granted->str();
    } else {
      rule["miss"] = verdict.miss;
    }
    rules.push_back(std::move(rule));
  }
  return nlohmann::json({{"version", 1}, {"rules", std::move(rules)}}).dump(2) + "\n";
}

}  // namespace nodepilot
