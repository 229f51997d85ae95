#include "agent/base/selector.h"

#include <doctest/doctest.h>

using namespace nodepilot;
using namespace std::string_literals;

namespace {

const Selector kUid{"unix", "uid:1000"};
const Selector kGid{"unix", "gid:1000"};
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

TEST_CASE("a caller matches when it has every wanted selector") {
  CHECK(matches({kUid}, {kUid}));
  CHECK(matches({kUid, kNs}, {kUid, kGid, kNs}));
}

TEST_CASE("one missing selector is no match") {
  CHECK_FALSE(matches({kUid, kNs}, {kUid, kGid}));
  CHECK_FALSE(matches({kUid}, {}));
  CHECK_FALSE(matches({Selector{"unix", "uid:100"}}, {kUid}));
  CHECK_FALSE(matches({Selector{"k8s", "uid:1000"}}, {kUid}));
}

TEST_CASE("nothing matches when nothing is wanted") {
  CHECK_FALSE(matches({}, {kUid, kGid}));
  CHECK_FALSE(matches({}, {}));
}
