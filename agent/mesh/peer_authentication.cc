#include "agent/mesh/peer_authentication.h"

#include <array>

namespace nodepilot::mesh {
namespace {

struct Word {
  MtlsMode mode;
  const char* text;
};
constexpr std::array kWords = {Word{MtlsMode::kUnset, "UNSET"}, Word{MtlsMode::kDisable, "DISABLE"},
                               Word{MtlsMode::kPermissive, "PERMISSIVE"},
                               Word{MtlsMode::kStrict, "STRICT"}};

}  // namespace

const char* to_string(MtlsMode mode) {
  for (const Word& word : kWords) {
    if (word.mode == mode) return word.text;
  }
  return "?";
}

std::optional<MtlsMode> parse_mtls_mode(std::string_view text) {
  for (const Word& word : kWords) {
    if (word.text == text) return word.mode;
  }
  return std::nullopt;
}

}  // namespace nodepilot::mesh
