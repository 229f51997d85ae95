#include "agent/base/selector.h"

#include <doctest/doctest.h>

using namespace nodepilot;
using namespace std::string_literals;

namespace {

const Selector kUid{"unix", "uid:1000"};
const Selector kNs{"k8s", "ns:shop"};

}  // namespace

TEST_CASE("a selector is split at its first colon") {
  auto selector = Selector::parse("k8s:pod-label:app:web");

  REQUIRE(selector);
  CHECK(selector->type == "k8s");
  CHECK(selector->value == "pod-label:app:web");
  CHECK(selector->str() == "k8s:pod-label:app:web");
}

TEST_CASE("a selector without a type or a value is refused with an example") {
  for (const char* text : {"", ":", "unix", "unix:", ":uid:1000"}) {
    CAPTURE(text);
    auto selector = Selector::parse(text);
    REQUIRE_FALSE(selector);
    CHECK(selector.error().code == Code::kInvalidArgument);
    CHECK(selector.error().message.find("unix:uid:1000") != std::string::npos);
  }
}

TEST_CASE("a selector with a control character is refused") {
  for (const std::string& text :
       {"unix:user:a\nb"s, "unix:user:a\0b"s, "un\tix:a"s, "unix:a\x7f"s, "unix:a\r"s}) {
    CAPTURE(text);
    CHECK_FALSE(Selector::parse(text));
  }
}

TEST_CASE("a selector may hold spaces and other alphabets") {
  CHECK(Selector::parse("unix:path:/opt/my app/b\u00fccher"));
}

TEST_CASE("a key is split at its first colon") {
  auto key = SelectorKey::parse("k8s:pod-label:app");

  REQUIRE(key);
  CHECK(key->type == "k8s");
  CHECK(key->key == "pod-label:app");
  CHECK(key->str() == "k8s:pod-label:app");
  CHECK_FALSE(SelectorKey::parse("k8s:"));
  CHECK_FALSE(SelectorKey::parse("ns"));
}

TEST_CASE("the values of a key are those of its selectors and of no others") {
  Selectors found{kNs,
                  kUid,
                  {"k8s", "ns-label:x:y"},
                  {"k8s", "nsx:1"},
                  {"a8s", "ns:no"},
                  {"k8s", "pod-label:app:web"},
                  {"k8s", "pod-label:app:a:b"},
                  {"k8s", "pod-label:apple:no"},
                  {"k8s", "pod-label:app:"}};

  CHECK(values_of(found, {"k8s", "ns"}) == std::vector<std::string_view>{"shop"});
  CHECK(values_of(found, {"k8s", "pod-label:app"}) == std::vector<std::string_view>{"a:b", "web"});
  CHECK(values_of(found, {"k8s", "sa"}).empty());
  CHECK(values_of({}, {"k8s", "ns"}).empty());
}
