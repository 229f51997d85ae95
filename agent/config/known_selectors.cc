#include "agent/config/known_selectors.h"

#include <algorithm>
#include <array>
#include <map>
#include <span>
#include <vector>

#include "agent/base/log.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

// (uid_t)-1 means "no user" to the kernel.
constexpr std::uint64_t kMaxUserId = 0xfffffffe;
constexpr std::size_t kMaxCount = 1'000'000;

tl::unexpected<Error> refuse(const std::string& why) { return fail(Code::kInvalidArgument, why); }

// Numbers are compared as text.
expected<void> check_number(std::string_view value, std::uint64_t highest) {
  TRY(parse_count(value, 0, highest));
  if (value.size() > 1 && value.front() == '0') {
    return refuse("must not start with 0, got " + quote(value));
  }
  return {};
}

expected<void> check_id(std::string_view value) { return check_number(value, kMaxUserId); }
expected<void> check_count(std::string_view value) { return check_number(value, kMaxCount); }
expected<void> check_text(std::string_view) { return {}; }

expected<void> check_path(std::string_view value) {
  TRY(parse_path(value));
  return {};
}

expected<void> check_sha256(std::string_view value) {
  auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  if (value.size() == 64 && std::all_of(value.begin(), value.end(), is_hex)) return {};
  return refuse("must be 64 lower-case hex digits, got " + quote(value.substr(0, 80)));
}

expected<void> check_env(std::string_view value) {
  std::size_t equals = value.find('=');
  if (equals != 0 && equals != std::string_view::npos) return {};
  return refuse("must be NAME=VALUE, got " + quote(value.substr(0, 80)));
}

enum class Many { kOne, kSeveral };      // how many of the kind a process has
enum class Named { kPlain, kWithName };  // "k8s:pod-label" has a name between it and its value

struct Kind {
  const char* name;
  Many many;
  Named named;
  expected<void> (*check)(std::string_view value);
};

constexpr auto kOne = Many::kOne;
constexpr auto kSeveral = Many::kSeveral;
constexpr auto kPlain = Named::kPlain;
constexpr auto kWithName = Named::kWithName;

constexpr std::array kUnix = {Kind{"uid", kOne, kPlain, check_id},
                              Kind{"user", kOne, kPlain, check_text},
                              Kind{"gid", kOne, kPlain, check_id},
                              Kind{"group", kOne, kPlain, check_text},
                              Kind{"supplementary_gid", kSeveral, kPlain, check_id},
                              Kind{"supplementary_group", kSeveral, kPlain, check_text},
                              Kind{"path", kOne, kPlain, check_path},
                              Kind{"sha256", kOne, kPlain, check_sha256}};

constexpr std::array kKubernetes = {Kind{"ns", kOne, kPlain, check_text},
                                    Kind{"sa", kOne, kPlain, check_text},
                                    Kind{"node-name", kOne, kPlain, check_text},
                                    Kind{"pod-uid", kOne, kPlain, check_text},
                                    Kind{"pod-name", kOne, kPlain, check_text},
                                    Kind{"pod-label", kSeveral, kWithName, check_text},
                                    Kind{"pod-owner", kSeveral, kWithName, check_text},
                                    Kind{"pod-owner-uid", kSeveral, kWithName, check_text},
                                    Kind{"pod-image", kSeveral, kPlain, check_text},
                                    Kind{"pod-init-image", kSeveral, kPlain, check_text},
                                    Kind{"pod-image-count", kOne, kPlain, check_count},
                                    Kind{"pod-init-image-count", kOne, kPlain, check_count},
                                    Kind{"container-name", kOne, kPlain, check_text},
                                    Kind{"container-image", kSeveral, kPlain, check_text}};

constexpr std::array kDocker = {Kind{"label", kSeveral, kWithName, check_text},
                                Kind{"env", kSeveral, kPlain, check_env},
                                Kind{"image_id", kOne, kPlain, check_text},
                                Kind{"image_config_digest", kOne, kPlain, check_text}};

constexpr std::array kSystemd = {Kind{"id", kOne, kPlain, check_text},
                                 Kind{"fragment_path", kOne, kPlain, check_path}};

struct Type {
  const char* name;
  std::span<const Kind> kinds;
};

// One for each attestor (attest/).
constexpr std::array kTypes = {Type{"unix", kUnix}, Type{"k8s", kKubernetes},
                               Type{"docker", kDocker}, Type{"systemd", kSystemd}};

template <class Table>
auto find_named(const Table& table, std::string_view name) {
  auto found =
      std::find_if(table.begin(), table.end(), [&](const auto& one) { return one.name == name; });
  return found == table.end() ? nullptr : &*found;
}

template <class Table>
tl::unexpected<Error> unknown(const std::string& what, std::string_view name, const Table& table,
                              const std::string& introduction) {
  std::vector<std::string> names;
  std::string list;
  for (const auto& one : table) {
    names.emplace_back(one.name);
    list += std::string(list.empty() ? "" : ", ") + one.name;
  }
  return refuse("unknown " + what + " " + quote(name.substr(0, 80)) + suggestion(name, names) +
                "; " + introduction + list);
}

expected<const Kind*> find_kind(std::string_view type_name, std::string_view kind_name) {
  const Type* type = find_named(kTypes, type_name);
  if (type == nullptr) return unknown("selector type", type_name, kTypes, "known: ");
  const Kind* kind = find_named(type->kinds, kind_name);
  if (kind == nullptr) {
    return unknown("kind", kind_name, type->kinds, std::string(type->name) + " has ");
  }
  return kind;
}

// What stands before the first colon, which goes with it.
std::string_view take_part(std::string_view& text) {
  std::string_view part = text.substr(0, text.find(':'));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

}  // namespace

expected<Selector> parse_known_selector(std::string_view text) {
  auto selector = TRY(Selector::parse(text));
  std::string_view value = selector.value;
  std::string_view kind_name = take_part(value);
  const Kind* kind = TRY(find_kind(selector.type, kind_name));
  std::string prefix = selector.type + ":" + kind->name;
  if (kind->named == kWithName) {
    std::string_view name = take_part(value);
    if (name.empty() || value.empty()) {
      return refuse("must have a name and a value, as in " + prefix + ":NAME:VALUE");
    }
  }
  if (value.empty()) return refuse("must have a value, as in " + prefix + ":VALUE");
  if (auto good = kind->check(value); !good) return fail_with(prefix, good.error());
  return selector;
}

expected<SelectorKey> parse_known_key(std::string_view text) {
  auto key = TRY(SelectorKey::parse(text));
  std::string_view name = key.key;
  std::string_view kind_name = take_part(name);
  const Kind* kind = TRY(find_kind(key.type, kind_name));
  std::string prefix = key.type + ":" + kind->name;
  bool is_whole = kind->named == kWithName ? !name.empty() && name.find(':') == name.npos
                                           : key.key == kind->name;
  if (is_whole) return key;
  return refuse("must be " + prefix + (kind->named == kWithName ? ":NAME" : "") + ", got " +
                quote(text.substr(0, 80)));
}

expected<Condition> parse_condition(std::string_view text) {
  constexpr std::string_view kAny = ":*";
  if (text.ends_with(kAny)) {
    auto key = parse_known_key(text.substr(0, text.size() - kAny.size()));
    if (key) return *std::move(key);
  }
  return TRY(parse_known_selector(text));
}

std::optional<std::string> contradiction(const Selectors& match) {
  std::map<std::string, std::string> seen;  // kind -> the selector that asks for it
  for (const Selector& selector : match) {
    std::string_view rest = selector.value;
    std::string_view kind_name = take_part(rest);
    auto kind = find_kind(selector.type, kind_name);
    if (!kind || (*kind)->many == kSeveral) continue;
    std::string name = selector.type + ":" + (*kind)->name;
    auto [first, is_new] = seen.emplace(name, selector.str());
    if (!is_new) {
      return "can never hold: all must be true at once, but a process has one " + name + ", not " +
             quote(first->second) + " and " + quote(selector.str()) +
             "; for either of them write two identities";
    }
  }
  return std::nullopt;
}

}  // namespace nodepilot
