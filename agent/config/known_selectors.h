// Which selectors there are: those that the attestors can yield, and so those that rules may ask
// for, spelled as SPIRE spells them.
// Thread: any.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "agent/base/selector.h"

namespace nodepilot {

// A selector that some attestor can yield, with a value it can yield: "unix:uid:1000".
expected<Selector> parse_known_selector(std::string_view text);

// The key of such selectors: "k8s:ns", "k8s:pod-label:app". Every value that is meant by it follows
// one more colon.
expected<SelectorKey> parse_known_key(std::string_view text);

// What a rule asks for: one selector, or by "KEY:*" any of one key. An asterisk after what is no
// key ("docker:env:GLOB=*") stands for itself.
using Condition = std::variant<Selector, SelectorKey>;
expected<Condition> parse_condition(std::string_view text);

// Why no process can ever match `match`, if that is so: it asks for two uids at once.
std::optional<std::string> contradiction(const Selectors& match);

}  // namespace nodepilot
