#include "agent/config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <optional>
#include <sstream>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxDepth = 16;

Place place_of(const YAML::Mark& mark) {
  return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1};
}

// Builds the tree from the parser's events. The parser's own tree would hide repeated keys, aliases
// and whether a scalar was quoted.
class TreeBuilder : public YAML::EventHandler {
 public:
  TreeBuilder(std::size_t most, Mistakes& mistakes) : most_(most), mistakes_(mistakes) {}

  std::vector<YamlNode> take_roots() { return std::move(roots_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (roots_.size() < most_) return;
    throw YAML::ParserException(
        mark, most_ == 1 ? "only one document is allowed"
                         : "only " + std::to_string(most_) + " documents are allowed");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    add(make(YamlNode::Kind::kNull, mark, "", anchor));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    refuse(mark, "aliases (*name) are not allowed: write the value out");
    add(make(YamlNode::Kind::kRefused, mark, "", YAML::NullAnchor));
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = make(YamlNode::Kind::kScalar, mark, tag, anchor);
    node.text = value;
    node.quoted = tag == kQuoted;
    add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(YamlNode::Kind::kList, mark, tag, anchor), mark);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(YamlNode::Kind::kMapping, mark, tag, anchor), mark);
  }
  void OnMapEnd() override { close(); }

 private:
  // What the parser says of a scalar in quotes and of a value without a tag.
  static constexpr std::string_view kQuoted = "!";
  static constexpr std::string_view kUntagged = "?";

  void refuse(const YAML::Mark& mark, std::string message) {
    mistakes_.push_back({place_of(mark), std::move(message)});
  }

  YamlNode make(YamlNode::Kind kind, const YAML::Mark& mark, std::string_view tag,
                YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) refuse(mark, "anchors (&name) are not allowed");
    if (!tag.empty() && tag != kUntagged && tag != kQuoted) {
      refuse(mark, "tags are not allowed, got " + quote(tag.substr(0, 80)));
    }
    YamlNode node;
    node.kind = kind;
    node.place = place_of(mark);
    return node;
  }

  void open(YamlNode node, const YAML::Mark& mark) {
    if (open_.size() == kMaxDepth) {
      throw YAML::ParserException(mark,
                                  "nested more than " + std::to_string(kMaxDepth) + " levels deep");
    }
    open_.push_back({std::move(node), std::nullopt});
  }

  void close() {
    YamlNode done = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(done));
  }

  void add(YamlNode node) {
    if (open_.empty()) {
      roots_.push_back(std::move(node));
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::kList) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      parent.key = std::move(node);
    } else {
      // The parser finds out that a value is missing only at what follows it.
      if (node.kind == YamlNode::Kind::kNull) node.place = parent.key->place;
      parent.node.members.push_back({*std::move(parent.key), std::move(node)});
      parent.key.reset();
    }
  }

  // A list or mapping whose end has not come yet.
  struct Open {
    YamlNode node;
    std::optional<YamlNode> key;  // of a mapping: awaits its value
  };

  const std::size_t most_;
  Mistakes& mistakes_;
  std::vector<YamlNode> roots_;
  std::vector<Open> open_;
};

// Bytes of the UTF-8 sequence that `text` starts with; 0 if there is none (RFC 3629).
std::size_t utf8_length(std::string_view text) {
  auto byte = [&](std::size_t i) -> unsigned {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0;
  };
  auto follows = [&](std::size_t i, unsigned low = 0x80, unsigned high = 0xbf) {
    return byte(i) >= low && byte(i) <= high;
  };
  unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    // No overlong forms, no surrogates.
    bool second = follows(1, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf);
    return second && follows(2) ? 3 : 0;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    bool second = follows(1, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf);
    return second && follows(2) && follows(3) ? 4 : 0;
  }
  return 0;
}

// The parser takes byte 0x04 for the end of the input and passes broken UTF-8 on.
std::optional<Place> first_bad_byte(std::string_view text) {
  Place place{1, 1};
  for (std::size_t i = 0; i < text.size();) {
    std::size_t length = utf8_length(text.substr(i));
    auto c = static_cast<unsigned char>(text[i]);
    bool control = (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
    if (length == 0 || control) return place;
    place = c == '\n' ? Place{place.line + 1, 1}
                      : Place{place.line, place.column + static_cast<int>(length)};
    i += length;
  }
  return std::nullopt;
}

}  // namespace

std::optional<YamlNode> parse_yaml(std::string_view text, Mistakes& mistakes) {
  auto roots = parse_yaml_documents(text, 1, mistakes);
  if (!roots) return std::nullopt;
  return roots->empty() ? YamlNode() : std::move(roots->front());
}

std::optional<std::vector<YamlNode>> parse_yaml_documents(std::string_view text, std::size_t most,
                                                          Mistakes& mistakes) {
  if (text.size() > kMaxYamlBytes) {
    mistakes.push_back({{}, "larger than 1 MiB"});
    return std::nullopt;
  }
  if (auto place = first_bad_byte(text)) {
    mistakes.push_back({*place, "not UTF-8 text: a control character or a broken sequence"});
    return std::nullopt;
  }
  TreeBuilder builder(most, mistakes);
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    mistakes.push_back({place_of(error.mark), "YAML: " + error.msg});
    return std::nullopt;
  }
  return builder.take_roots();
}

std::string describe(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      return "nothing";
    case YamlNode::Kind::kScalar:
      return quote(node.text.substr(0, 80));
    case YamlNode::Kind::kList:
      return "a list";
    case YamlNode::Kind::kMapping:
      return "a mapping";
    case YamlNode::Kind::kRefused:
      break;
  }
  return "a value that is not allowed";
}

}  // namespace nodepilot
