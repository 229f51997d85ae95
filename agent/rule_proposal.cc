#include "agent/rule_proposal.h"

#include <algorithm>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

// A segment of a SPIFFE ID's path that looks like `text`.
std::string segment(std::string_view text) {
  std::string out(text);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return !is_plain(c); }, '-');
  bool only_dots = out.find_first_not_of('.') == std::string::npos;
  return only_dots ? "unnamed" : out;
}

std::string_view after_last_slash(std::string_view path) {
  return path.substr(path.rfind('/') + 1);
}

// The selectors of these keys, if each is found, and found once: of several nobody can say which
// one is meant.
class Telling {
 public:
  explicit Telling(const Selectors& found) : found_(found) {}

  std::optional<std::string_view> value(const std::string& type, const std::string& kind) const {
    auto values = values_of(found_, {type, kind});
    if (values.size() != 1) return std::nullopt;
    return values.front();
  }

 private:
  const Selectors& found_;
};

Selector make(const char* type, const std::string& kind, std::string_view value) {
  return {type, kind + ":" + std::string(value)};
}

// Characters that YAML gives a meaning to, in a flow sequence too, or an asterisk, which a rule
// takes for "any value", are put in quotes.
std::string yaml_text(const std::string& text) {
  bool bare = std::all_of(text.begin(), text.end(),
                          [](char c) { return is_plain(c) || c == '/' || c == ':'; });
  return bare && !text.ends_with(':') ? text : quote(text);
}

}  // namespace

std::optional<RuleProposal> propose_rule(const Selectors& found) {
  Telling telling(found);
  auto ns = telling.value("k8s", "ns");
  auto sa = telling.value("k8s", "sa");
  if (ns && sa) {
    return RuleProposal{"/ns/" + segment(*ns) + "/sa/" + segment(*sa),
                        {make("k8s", "ns", *ns), make("k8s", "sa", *sa)}};
  }
  auto uid = telling.value("unix", "uid");
  if (!uid) return std::nullopt;
  if (auto unit = telling.value("systemd", "id")) {
    std::string_view name = *unit;
    if (name.ends_with(".service")) name.remove_suffix(8);
    return RuleProposal{"/host/" + segment(name),
                        {make("systemd", "id", *unit), make("unix", "uid", *uid)}};
  }
  if (auto path = telling.value("unix", "path")) {
    return RuleProposal{"/host/" + segment(after_last_slash(*path)),
                        {make("unix", "uid", *uid), make("unix", "path", *path)}};
  }
  return RuleProposal{"/host/uid-" + segment(*uid), {make("unix", "uid", *uid)}};
}

std::string rule_yaml(const std::string& id, const std::vector<std::string>& match,
                      std::size_t indent) {
  std::string margin(indent, ' ');
  std::string list;
  for (const std::string& selector : match) {
    list += (list.empty() ? "" : ", ") + yaml_text(selector);
  }
  return margin + "- id: " + yaml_text(id) + "\n" + margin + "  match: [" + list + "]\n";
}

}  // namespace nodepilot
