#include "agent/config/attestors.h"

#include <algorithm>
#include <array>

#include "agent/config/docker.h"
#include "agent/config/kubernetes.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

struct Attested {
  const char* type;
  const char* section;  // of `attestors`, which makes it run
};

// `unix` always runs.
constexpr std::array kOptional = {Attested{"k8s", "kubernetes"}, Attested{"docker", "docker"},
                                  Attested{"systemd", "systemd"}};

bool runs(const AttestorsConfig& attestors, std::string_view type) {
  return (type == "k8s" && attestors.kubernetes) || (type == "docker" && attestors.docker) ||
         (type == "systemd" && attestors.systemd);
}

// "pod-label:app:web" and "pod-label:app" are of the kind "pod-label".
bool is_of_kind(std::string_view text, std::string_view kind) {
  return kind.empty() || text.substr(0, text.find(':')) == kind;
}

}  // namespace

bool asks_for(const Entry& rule, std::string_view type, std::string_view kind) {
  auto is_meant = [&](const SelectorKey& key) {
    return key.type == type && is_of_kind(key.key, kind);
  };
  SelectorKeys places = rule.id_template ? rule.id_template->places() : SelectorKeys();
  return std::any_of(rule.match.begin(), rule.match.end(),
                     [&](const Selector& selector) {
                       return selector.type == type && is_of_kind(selector.value, kind);
                     }) ||
         std::any_of(rule.match_any.begin(), rule.match_any.end(), is_meant) ||
         std::any_of(places.begin(), places.end(), is_meant);
}

bool any_asks_for(const std::vector<Entry>& rules, std::string_view type, std::string_view kind) {
  return std::any_of(rules.begin(), rules.end(),
                     [&](const Entry& rule) { return asks_for(rule, type, kind); });
}

AttestorsConfig decode_attestors(YamlMapping section) {
  AttestorsConfig attestors;
  if (auto value = section.find("kubernetes")) attestors.kubernetes = decode_kubernetes(*value);
  if (auto value = section.find("docker")) attestors.docker = decode_docker(*value);
  if (auto value = section.find("systemd")) {
    YamlMapping no_settings(*value);
    attestors.systemd = true;
  }
  auto host_cgroup = section.find("host_cgroup");
  if (host_cgroup) host_cgroup->read(attestors.host_cgroup, parse_path);
  if (host_cgroup && !attestors.kubernetes && !attestors.docker) {
    host_cgroup->refuse("is of use to attestors.kubernetes and attestors.docker, and neither runs");
  }
  return attestors;
}

std::vector<std::string> unattested(const std::vector<Entry>& rules,
                                    const AttestorsConfig& attestors) {
  std::vector<std::string> all;
  for (const Entry& rule : rules) {
    for (const Attested& attested : kOptional) {
      if (!asks_for(rule, attested.type) || runs(attestors, attested.type)) continue;
      all.push_back(rule.id + ": asks for " + attested.type +
                    " selectors, which nothing yields without attestors." + attested.section);
    }
  }
  return all;
}

}  // namespace nodepilot
