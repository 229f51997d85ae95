#include "agent/config/spire_entries.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/log.h"
#include "agent/base/strict_json.h"
#include "agent/config/entry.h"
#include "agent/config/known_selectors.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDepth = 16;

tl::unexpected<Error> refuse(const std::string& why) { return fail(Code::kInvalidArgument, why); }

// Of the protobuf message; what is left out has its default.
template <class T>
expected<T> member(const Json& object, const char* name, T fallback) {
  auto found = object.find(name);
  if (found == object.end() || found->is_null()) return fallback;
  try {
    return found->get<T>();
  } catch (const Json::exception&) {
    return refuse(std::string(name) + " is not what it should be");
  }
}

// Protobuf writes 64-bit integers as strings.
expected<std::uint64_t> count_member(const Json& object, const char* name) {
  auto found = object.find(name);
  if (found != object.end() && found->is_string()) {
    return parse_count(found->get<std::string>(), 0, UINT64_MAX);
  }
  return member<std::uint64_t>(object, name, 0);
}

expected<std::string> id_text(const Json& entry, const char* name) {
  auto found = entry.find(name);
  if (found == entry.end() || !found->is_object()) return refuse(std::string("has no ") + name);
  auto trust_domain = TRY(member<std::string>(*found, "trust_domain", ""));
  auto path = TRY(member<std::string>(*found, "path", ""));
  return "spiffe://" + trust_domain + path;
}

expected<Selector> parse_literal_selector(const std::string& text) {
  auto condition = TRY(parse_condition(text));
  if (auto* selector = std::get_if<Selector>(&condition)) return std::move(*selector);
  return refuse("the asterisk of " + quote(text.substr(0, 80)) +
                " stands for itself in SPIRE, but for any value here");
}

expected<Selectors> selectors_of(const Json& entry) {
  Selectors match;
  for (const Json& selector : TRY(member<std::vector<Json>>(entry, "selectors", {}))) {
    if (!selector.is_object()) return refuse("a selector is no object");
    Selector named;
    named.type = TRY(member<std::string>(selector, "type", ""));
    named.value = TRY(member<std::string>(selector, "value", ""));
    match.insert(TRY(parse_literal_selector(named.str())));
  }
  if (match.empty()) return refuse("has no selectors");
  if (auto why = contradiction(match)) return refuse("match " + *why);
  return match;
}

// Both "td" and "spiffe://td" are in use.
expected<std::vector<TrustDomain>> federates_with(const Json& entry) {
  std::vector<TrustDomain> all;
  for (const auto& text : TRY(member<std::vector<std::string>>(entry, "federates_with", {}))) {
    std::string_view name = text;
    if (name.starts_with("spiffe://")) name.remove_prefix(9);
    all.push_back(TRY(TrustDomain::parse(name)));
  }
  return all;
}

expected<std::vector<std::string>> dns_names(const Json& entry) {
  std::vector<std::string> all;
  for (const auto& name : TRY(member<std::vector<std::string>>(entry, "dns_names", {}))) {
    all.push_back(TRY(parse_dns_name(name)));
  }
  return all;
}

// Zero is the default of whoever issues.
template <class Parse>
expected<std::chrono::seconds> ttl_of(const Json& entry, const char* name, Parse parse) {
  auto seconds = TRY(count_member(entry, name));
  if (seconds == 0) return std::chrono::seconds(0);
  auto ttl = parse(std::to_string(seconds) + "s");
  if (!ttl) return fail_with(name, ttl.error());
  return ttl;
}

expected<void> check_kind(const Json& entry) {
  for (const char* name : {"admin", "downstream", "store_svid"}) {
    if (TRY(member<bool>(entry, name, false))) {
      return refuse(std::string("is an entry with ") + name + ", which is not for workloads here");
    }
  }
  return {};
}

expected<Entry> import_one(const Json& entry) {
  TRY(check_kind(entry));
  auto text = TRY(id_text(entry, "spiffe_id"));
  auto spiffe_id = TRY(parse_identity_id(text, std::nullopt));
  Entry made{.id = "", .spiffe_id = std::move(spiffe_id), .match = {}, .dns_names = {}, .hint = ""};
  made.match = TRY(selectors_of(entry));
  made.ttl = TRY(ttl_of(entry, "x509_svid_ttl", parse_ttl));
  made.jwt_ttl = TRY(ttl_of(entry, "jwt_svid_ttl", parse_jwt_ttl));
  made.dns_names = TRY(dns_names(entry));
  auto hint = TRY(member<std::string>(entry, "hint", ""));
  made.hint = TRY(parse_hint(hint));
  made.federates_with = TRY(federates_with(entry));
  return made;
}

std::string name_of(const Json& entry) {
  if (!entry.is_object()) return "entry";
  std::string name = "entry " + member<std::string>(entry, "id", "").value_or("");
  if (auto spiffe_id = id_text(entry, "spiffe_id")) name += " (" + *spiffe_id + ")";
  return name;
}

// SPIRE has one for each parent; here they are one rule.
bool repeats(const Entry& entry, const std::vector<Entry>& earlier) {
  return std::any_of(earlier.begin(), earlier.end(), [&](const Entry& one) {
    return one.spiffe_id == entry.spiffe_id && one.match == entry.match;
  });
}

void take(const Json& entry, ImportedEntries& imported) {
  auto leave_out = [&](const std::string& why) {
    imported.left_out.push_back(name_of(entry) + ": " + why);
  };
  if (!entry.is_object()) return leave_out("is no object");
  auto made = import_one(entry);
  if (!made) return leave_out(made.error().message);
  auto& entries = imported.entries;
  if (!entries.empty() && entries[0].spiffe_id.trust_domain() != made->spiffe_id.trust_domain()) {
    return leave_out("is of another trust domain than " + entries[0].spiffe_id.str());
  }
  if (repeats(*made, entries)) return;
  if (count_member(entry, "expires_at").value_or(0) != 0) {
    imported.remarks.push_back(name_of(entry) + ": rules do not expire; this entry would have");
  }
  for (const TrustDomain& other : made->federates_with) {
    imported.remarks.push_back(name_of(entry) + ": needs " + other.name() + " under federation");
  }
  entries.push_back(*std::move(made));
}

// One mapping of the list `identities`.
class IdentityWriter {
 public:
  IdentityWriter(YAML::Emitter& out, const Entry& entry) : out_(out), entry_(entry) {}

  void write() {
    out_ << YAML::BeginMap;
    put("id", entry_.name());
    put_list("match", entry_.match, [](const Selector& selector) { return selector.str(); });
    put_x509();
    if (has_time(entry_.jwt_ttl)) {
      key("jwt");
      out_ << YAML::BeginMap;
      put("ttl", duration_text(entry_.jwt_ttl));
      out_ << YAML::EndMap;
    }
    if (!entry_.hint.empty()) put("hint", entry_.hint);
    put_list("federates_with", entry_.federates_with,
             [](const TrustDomain& trust_domain) { return trust_domain.name(); });
    out_ << YAML::EndMap;
  }

 private:
  static bool has_time(std::chrono::seconds ttl) { return ttl.count() > 0; }

  void put_x509() {
    if (!has_time(entry_.ttl) && entry_.dns_names.empty()) return;
    key("x509");
    out_ << YAML::BeginMap;
    if (has_time(entry_.ttl)) put("ttl", duration_text(entry_.ttl));
    put_list("dns_names", entry_.dns_names, [](const std::string& name) { return name; });
    out_ << YAML::EndMap;
  }

  void key(const char* name) { out_ << YAML::Key << YAML::Auto << name << YAML::Value; }

  void put(const char* name, const std::string& value) {
    key(name);
    out_ << YAML::DoubleQuoted << value;
  }

  template <class Values, class ToText>
  void put_list(const char* name, const Values& values, ToText to_text) {
    if (values.empty()) return;
    key(name);
    out_ << YAML::Flow << YAML::BeginSeq;
    for (const auto& value : values) out_ << YAML::DoubleQuoted << to_text(value);
    out_ << YAML::EndSeq;
  }

  YAML::Emitter& out_;
  const Entry& entry_;
};

}  // namespace

expected<ImportedEntries> import_spire_entries(std::string_view text) {
  auto json = TRY(parse_strict_json(text, {kMaxSpireEntriesBytes, kMaxDepth}));
  if (!json.is_object() || !json.contains("entries") || !json["entries"].is_array()) {
    return refuse(
        "must be what `spire-server entry show -output json` prints: an object with the "
        "list \"entries\"");
  }
  ImportedEntries imported;
  for (const Json& entry : json["entries"]) take(entry, imported);
  return imported;
}

std::string identities_yaml(const std::vector<Entry>& entries) {
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "identities" << YAML::Value << YAML::BeginSeq;
  for (const Entry& entry : entries) IdentityWriter(out, entry).write();
  out << YAML::EndSeq << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace nodepilot
