#include "agent/config/entry.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "agent/base/log.h"
#include "agent/config/known_selectors.h"
#include "agent/config/sds.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr Duration kMinTtl = std::chrono::seconds(5);
constexpr Duration kMaxTtl = std::chrono::hours(24) * 365;
constexpr std::size_t kMaxHintBytes = 1024;  // Workload API section 8
constexpr Duration kMaxJwtTtl = std::chrono::hours(24);
constexpr std::size_t kMaxDnsNames = 100;

tl::unexpected<Error> refuse(const std::string& why) { return fail(Code::kInvalidArgument, why); }

expected<std::chrono::seconds> parse_ttl_up_to(std::string_view text, Duration longest) {
  auto ttl = TRY(parse_duration(text, kMinTtl, longest));
  auto seconds = std::chrono::floor<std::chrono::seconds>(ttl);
  if (seconds != ttl) return refuse("must be whole seconds, got " + quote(text));
  return seconds;
}

// What a rule asks of a caller.
struct Match {
  Selectors selectors;
  SelectorKeys any;

  bool add(Condition condition) {
    if (auto* key = std::get_if<SelectorKey>(&condition)) {
      return any.insert(std::move(*key)).second;
    }
    return selectors.insert(std::get<Selector>(std::move(condition))).second;
  }
  bool empty() const { return selectors.empty() && any.empty(); }
};

Match decode_match(YamlMapping& identity) {
  Match match;
  auto list = identity.require("match");
  if (!list) return match;
  bool is_list = list->node().kind == YamlNode::Kind::kList;
  if (is_list && list->node().items.empty()) {
    list->refuse("must not be empty: it would hand this identity to everybody");
  }
  for (const YamlValue& item : list->items()) {
    std::optional<Condition> condition;
    item.read(condition, parse_condition);
    if (condition && !match.add(*std::move(condition))) {
      item.refuse(quote(item.node().text) + " is listed twice");
    }
  }
  if (auto why = contradiction(match.selectors)) list->refuse(*why);
  return match;
}

std::vector<std::string> decode_dns_names(const YamlValue& list) {
  std::vector<std::string> names;
  for (const YamlValue& item : list.items()) {
    std::string name;
    item.read(name, parse_dns_name);
    if (name.empty()) continue;
    if (std::count(names.begin(), names.end(), name) != 0) {
      item.refuse(quote(name) + " is listed twice");
    }
    names.push_back(name);
  }
  if (names.size() > kMaxDnsNames) {
    list.refuse("must hold at most " + std::to_string(kMaxDnsNames) + " names, got " +
                std::to_string(names.size()));
  }
  return names;
}

std::vector<TrustDomain> decode_federates_with(const YamlValue& list,
                                               const std::optional<TrustDomain>& own,
                                               const std::vector<TrustDomain>& federated) {
  std::vector<TrustDomain> trust_domains;
  for (const YamlValue& item : list.items()) {
    std::optional<TrustDomain> trust_domain;
    item.read(trust_domain, TrustDomain::parse);
    if (!trust_domain) continue;
    if (trust_domain == own) {
      item.refuse("must be a foreign trust domain; " + quote(own->name()) + " is our own");
    } else if (std::count(trust_domains.begin(), trust_domains.end(), *trust_domain) != 0) {
      item.refuse(quote(trust_domain->name()) + " is listed twice");
    } else if (std::count(federated.begin(), federated.end(), *trust_domain) == 0) {
      item.refuse(quote(trust_domain->name()) +
                  " is not among the trust domains under federation: add where its bundle is to be "
                  "had");
    }
    trust_domains.push_back(*std::move(trust_domain));
  }
  return trust_domains;
}

const char kOnlyFixed[] = "is for a fixed id only: a template gives many identities";

SpiffeId fixed_part(const IdOrTemplate& id) {
  if (const auto* fixed = std::get_if<SpiffeId>(&id)) return *fixed;
  return *SpiffeId::make(std::get<IdTemplate>(id).trust_domain(), "");
}

std::optional<IdTemplate> template_part(IdOrTemplate id) {
  if (auto* made = std::get_if<IdTemplate>(&id)) return std::move(*made);
  return std::nullopt;
}

std::optional<Entry> decode_entry(const YamlValue& value,
                                  const std::optional<TrustDomain>& trust_domain,
                                  const std::vector<TrustDomain>& federated,
                                  std::chrono::seconds ttl) {
  YamlMapping identity(value);
  std::optional<IdOrTemplate> id;
  if (auto text = identity.require("id")) {
    text->read(id, [&](std::string_view t) { return parse_id_or_template(t, trust_domain); });
  }
  Match match = decode_match(identity);
  std::string hint;
  identity.read("hint", hint, parse_hint);
  std::vector<std::string> dns_names;
  YamlMapping x509 = identity.mapping("x509");
  x509.read("ttl", ttl, parse_ttl);
  if (auto list = x509.find("dns_names")) dns_names = decode_dns_names(*list);
  std::chrono::seconds jwt_ttl = kDefaultJwtTtl;
  identity.mapping("jwt").read("ttl", jwt_ttl, parse_jwt_ttl);
  std::vector<TrustDomain> federates_with;
  if (auto list = identity.find("federates_with")) {
    federates_with = decode_federates_with(*list, trust_domain, federated);
  }
  std::vector<std::filesystem::path> files;
  if (auto list = identity.find("files")) files = decode_files(*list);
  PeerRules peers;
  if (auto list = identity.find("peers")) peers = decode_peers(*list);
  bool prefetch = false;
  identity.read("prefetch", prefetch, parse_switch, Quotes::kNever);
  if (!id || match.empty()) return std::nullopt;
  if (std::holds_alternative<IdTemplate>(*id)) {
    if (prefetch) identity.refuse("prefetch", kOnlyFixed);
    if (!dns_names.empty()) x509.refuse("dns_names", kOnlyFixed);
  }
  return Entry{.id = "",
               .spiffe_id = fixed_part(*id),
               .match = std::move(match.selectors),
               .ttl = ttl,
               .jwt_ttl = jwt_ttl,
               .dns_names = std::move(dns_names),
               .hint = std::move(hint),
               .federates_with = std::move(federates_with),
               .files = std::move(files),
               .peers = std::move(peers),
               .prefetch = prefetch,
               .match_any = std::move(match.any),
               .id_template = template_part(*std::move(id))};
}

}  // namespace

expected<SpiffeId> parse_identity_id(std::string_view text,
                                     const std::optional<TrustDomain>& trust_domain) {
  if (!text.starts_with('/') && !text.starts_with("spiffe://")) {
    return refuse("must be a path such as /web or a whole SPIFFE ID, got " +
                  quote(text.substr(0, 80)));
  }
  if (text.starts_with('/')) {
    // Without a valid trust domain the path is still worth a look.
    return SpiffeId::make(trust_domain.value_or(*TrustDomain::parse("unknown")), text);
  }
  auto id = TRY(SpiffeId::parse(text));
  if (!id.has_path()) {
    return refuse("must have a path, as in " + id.str() + "/web: the ID alone is the domain's own");
  }
  if (trust_domain && id.trust_domain() != *trust_domain) {
    return refuse("must be of the trust domain " + quote(trust_domain->name()) + ", got " +
                  quote(text.substr(0, 200)));
  }
  return id;
}

expected<IdOrTemplate> parse_id_or_template(std::string_view text,
                                            const std::optional<TrustDomain>& trust_domain) {
  if (!IdTemplate::is_meant(text)) return TRY(parse_identity_id(text, trust_domain));
  TrustDomain own = trust_domain.value_or(*TrustDomain::parse("unknown"));
  std::string_view path = text;
  if (trust_domain && path.starts_with(own.id() + '/')) path.remove_prefix(own.id().size());
  if (!path.starts_with('/')) {
    return refuse("must be a path such as /ns/{k8s:ns}, or a whole ID of the trust domain " +
                  quote(own.name()) + ", got " + quote(text.substr(0, 80)));
  }
  auto made = TRY(IdTemplate::parse(own, path));
  for (const SelectorKey& place : made.places()) TRY(parse_known_key(place.str()));
  return made;
}

expected<std::chrono::seconds> parse_ttl(std::string_view text) {
  return parse_ttl_up_to(text, kMaxTtl);
}

expected<std::chrono::seconds> parse_jwt_ttl(std::string_view text) {
  return parse_ttl_up_to(text, kMaxJwtTtl);
}

expected<std::string> parse_hint(std::string_view text) {
  auto is_control = [](unsigned char c) { return c < 0x20 || c == 0x7f; };
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return refuse("must not hold control characters");
  }
  if (text.size() <= kMaxHintBytes) return std::string(text);
  return refuse("must be at most " + std::to_string(kMaxHintBytes) + " bytes, got " +
                std::to_string(text.size()));
}

expected<std::string> parse_dns_name(std::string_view text) {
  auto bad = [&](const char* rule) {
    return refuse(std::string("must be a DNS name: ") + rule + ", got " +
                  quote(text.substr(0, 300)));
  };
  auto is_label_char = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (text.size() > 253) return bad("at most 253 bytes");
  std::string_view rest = text;
  std::string_view label;
  while (true) {
    label = rest.substr(0, rest.find('.'));
    if (label.empty() || label.size() > 63) return bad("1 to 63 bytes between the dots");
    if (!std::all_of(label.begin(), label.end(), is_label_char)) return bad("only a-z 0-9 - .");
    if (label.front() == '-' || label.back() == '-') return bad("no '-' beside a dot");
    if (label.size() == rest.size()) break;
    rest.remove_prefix(label.size() + 1);
  }
  if (label.find_first_not_of("0123456789") == std::string_view::npos) {
    return bad("the last part must not be a number");
  }
  return std::string(text);
}

void number_entries(std::vector<Entry>& entries) {
  std::map<std::string, int> seen;
  for (Entry& entry : entries) {
    int number = ++seen[entry.name()];
    entry.id = entry.name() + (number == 1 ? "" : "#" + std::to_string(number));
  }
}

std::vector<Entry> decode_entries(const YamlValue& list,
                                  const std::optional<TrustDomain>& trust_domain,
                                  const std::vector<TrustDomain>& federated,
                                  std::chrono::seconds default_ttl) {
  std::vector<Entry> entries;
  std::map<std::tuple<std::string, Selectors, SelectorKeys>, std::string> seen;
  for (const YamlValue& item : list.items()) {
    auto entry = decode_entry(item, trust_domain, federated, default_ttl);
    if (!entry) continue;
    auto [first, is_new] =
        seen.emplace(std::tuple(entry->name(), entry->match, entry->match_any), item.name());
    if (!is_new) item.refuse("repeats " + first->second + ": same id, same match");
    entries.push_back(*std::move(entry));
  }
  bool is_empty = list.node().kind == YamlNode::Kind::kList && list.node().items.empty();
  if (is_empty) list.refuse("must hold at least one identity");
  return entries;
}

}  // namespace nodepilot
