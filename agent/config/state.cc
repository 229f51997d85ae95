#include "agent/config/state.h"

#include <algorithm>

#include "agent/base/log.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr std::size_t kLongestName = 255;

expected<StateConfig> parse_kind(std::string_view text) {
  if (text == "memory") return StateConfig();
  if (text == "sealed") return StateConfig(SealedConfig());
  return fail(Code::kInvalidArgument, "must be memory or sealed, got " + quote(text.substr(0, 80)) +
                                          suggestion(text, {"memory", "sealed"}));
}

// The name of a file in the directory that systemd makes for the unit.
expected<std::string> parse_credential(std::string_view text) {
  bool plain = std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
  bool fits = !text.empty() && text.size() <= kLongestName && plain && text != "." &&
              text != ".." && text.find_first_of("/:") == std::string_view::npos;
  if (fits) return std::string(text);
  return fail(Code::kInvalidArgument,
              "must be the name of a credential of the systemd unit, ASCII without spaces, \"/\" "
              "and \":\", got " +
                  quote(text.substr(0, 80)));
}

SealedConfig decode_sealed(const YamlValue& value) {
  YamlMapping section(value);
  SealedConfig sealed;
  section.read("key_file", sealed.key_file, parse_path);
  auto credential = section.find("key_credential");
  if (credential) credential->read(sealed.key_credential, parse_credential);
  if (credential && sealed.key_file) credential->refuse("key_file is given already; one key only");
  return sealed;
}

}  // namespace

void decode_state(const YamlValue& value, StateConfig& state) {
  if (value.node().kind == YamlNode::Kind::kScalar) return value.read(state, parse_kind);
  YamlMapping section(value);
  auto memory = section.find("memory");
  auto sealed = section.find("sealed");
  if (memory) YamlMapping nothing(*memory);
  if (sealed) state = decode_sealed(*sealed);
  if (memory && sealed) sealed->refuse("stands beside memory; one of the two only");
  if (value.node().kind == YamlNode::Kind::kMapping && !memory && !sealed) {
    value.refuse("must name memory or sealed");
  }
}

}  // namespace nodepilot
