// YAML text as a plain tree. Only what a configuration needs: documents of mappings, lists and
// scalars. Aliases, anchors, tags and deep nesting are refused, since what they hide (shared
// values, expansion, conversion) has no place in a security setting.
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace nodepilot {

struct Place {
  int line = 0;  // both from 1; 0 if the whole text is meant
  int column = 0;
};

struct Mistake {
  Place place;
  std::string message;
};
using Mistakes = std::vector<Mistake>;

struct YamlMember;

struct YamlNode {
  enum class Kind {
    kNull,
    kScalar,
    kList,
    kMapping,
    kRefused,  // a mistake about it is already noted
  };

  Kind kind = Kind::kNull;
  Place place;
  std::string text;     // of a scalar, not converted
  bool quoted = false;  // the scalar stood in quotes
  std::vector<YamlNode> items;
  std::vector<YamlMember> members;  // in the order of the text, repeated keys included
};

struct YamlMember {
  YamlNode key;
  YamlNode value;
};

inline constexpr std::size_t kMaxYamlBytes = std::size_t{1024} * 1024;

// Notes every mistake in `mistakes`. Empty if the text is too large or no YAML: then there is no
// whole tree to look at.
std::optional<YamlNode> parse_yaml(std::string_view text, Mistakes& mistakes);

// The same for a text of up to `most` documents.
std::optional<std::vector<YamlNode>> parse_yaml_documents(std::string_view text, std::size_t most,
                                                          Mistakes& mistakes);

// "a list", "a mapping", "nothing", `"text"`: how an error names what was given.
std::string describe(const YamlNode& node);

}  // namespace nodepilot
