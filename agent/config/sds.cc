#include "agent/config/sds.h"

#include <algorithm>
#include <array>
#include <optional>

#include "agent/base/log.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxNameBytes = 256;
constexpr std::size_t kMaxDirectories = 100;
constexpr std::size_t kMaxPeers = 100;

tl::unexpected<Error> refuse(const std::string& why) { return fail(Code::kInvalidArgument, why); }

std::string shown(std::string_view text) { return quote(text.substr(0, 200)); }

expected<TrustForm> parse_validation(std::string_view text) {
  if (text == "spiffe") return TrustForm::kSpiffeValidator;
  if (text == "trusted_ca") return TrustForm::kTrustedCa;
  return refuse("must be spiffe or trusted_ca, got " + shown(text));
}

// One that names of other kinds cannot be taken for.
expected<std::string> parse_alias(std::string_view text) {
  auto is_plain = [](unsigned char c) { return c > 0x20 && c < 0x7f; };
  bool is_reserved = text == "*" || text.starts_with("spiffe://") || text.starts_with("file-");
  if (!text.empty() && text.size() <= kMaxNameBytes && !is_reserved &&
      std::all_of(text.begin(), text.end(), is_plain)) {
    return std::string(text);
  }
  return refuse("must be 1 to " + std::to_string(kMaxNameBytes) +
                " printable ASCII characters without spaces, not \"*\" and not beginning with "
                "\"spiffe://\" or \"file-\", got " +
                shown(text));
}

expected<PeerRule> parse_exact(std::string_view text) {
  auto id = TRY(SpiffeId::parse(text));
  if (id.has_path()) return PeerRule{PeerRule::Kind::kExact, id.str()};
  return refuse("must be the SPIFFE ID of a workload, with a path, got " + shown(text));
}

// Whole parts only: "spiffe://td/web" would let "spiffe://td/web-evil" in, "spiffe://td" even
// "spiffe://td.evil".
expected<PeerRule> parse_prefix(std::string_view text) {
  if (!text.ends_with('/')) {
    return refuse("must end in \"/\": it would also match IDs that only begin alike, got " +
                  shown(text));
  }
  TRY(SpiffeId::parse(text.substr(0, text.size() - 1)));
  return PeerRule{PeerRule::Kind::kPrefix, std::string(text)};
}

expected<PeerRule> parse_suffix(std::string_view text) {
  if (!text.starts_with('/')) {
    return refuse("must begin with \"/\": it would also match IDs that only end alike, got " +
                  shown(text));
  }
  TRY(SpiffeId::make(*TrustDomain::parse("any"), text));
  return PeerRule{PeerRule::Kind::kSuffix, std::string(text)};
}

struct PeerKind {
  const char* key;
  expected<PeerRule> (*parse)(std::string_view);
};
constexpr std::array kPeerKinds = {PeerKind{"exact", parse_exact}, PeerKind{"prefix", parse_prefix},
                                   PeerKind{"suffix", parse_suffix}};

std::optional<PeerRule> decode_peer(const YamlValue& value) {
  YamlMapping peer(value);
  auto uri = peer.require("uri");
  if (!uri) return std::nullopt;
  YamlMapping matcher(*uri);
  std::optional<PeerRule> rule;
  int given = 0;
  for (const PeerKind& kind : kPeerKinds) {
    auto text = matcher.find(kind.key);
    if (!text) continue;
    ++given;
    text->read(rule, kind.parse);
  }
  if (given != 1) {
    uri->refuse("must have one of exact, prefix and suffix, got " + std::to_string(given));
  }
  return rule;
}

template <class Items>
void check_count(const YamlValue& list, const Items& items, std::size_t allowed, const char* what,
                 const char* why_not_empty) {
  bool is_list = list.node().kind == YamlNode::Kind::kList;
  if (is_list && list.node().items.empty()) list.refuse(why_not_empty);
  if (items.size() > allowed) {
    list.refuse("must hold at most " + std::to_string(allowed) + " " + what + ", got " +
                std::to_string(items.size()));
  }
}

}  // namespace

void decode_sds(YamlMapping section, SecretOptions& options) {
  section.read("validation", options.form, parse_validation);
  section.read("system_roots", options.system_roots, parse_switch, Quotes::kNever);
  section.read("default_svid_name", options.default_identity, parse_alias);
  section.read("default_bundle_name", options.own_roots, parse_alias);
  section.read("default_all_bundles_name", options.all_roots, parse_alias);
  if (options.own_roots == options.default_identity) {
    section.refuse("default_bundle_name",
                   "must not be that of default_svid_name, " + quote(options.default_identity));
  }
  for (const std::string* other : {&options.default_identity, &options.own_roots}) {
    if (options.all_roots != *other) continue;
    section.refuse("default_all_bundles_name",
                   "must not be that of another secret, " + quote(*other));
  }
}

std::vector<std::filesystem::path> decode_files(const YamlValue& list) {
  std::vector<std::filesystem::path> directories;
  for (const YamlValue& item : list.items()) {
    std::filesystem::path directory;
    item.read(directory, parse_path);
    if (directory.empty()) continue;
    if (std::count(directories.begin(), directories.end(), directory) != 0) {
      item.refuse(quote(directory.string()) + " is listed twice");
    }
    directories.push_back(std::move(directory));
  }
  check_count(list, directories, kMaxDirectories, "directories",
              "must not be empty: leave it out to grant no file");
  return directories;
}

PeerRules decode_peers(const YamlValue& list) {
  PeerRules peers;
  for (const YamlValue& item : list.items()) {
    auto rule = decode_peer(item);
    if (rule && !peers.insert(*rule).second) item.refuse("repeats " + quote(rule->text));
  }
  check_count(list, peers, kMaxPeers, "peers",
              "must not be empty: leave it out to accept every peer");
  return peers;
}

}  // namespace nodepilot
