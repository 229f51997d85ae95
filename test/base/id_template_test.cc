#include "agent/base/id_template.h"

#include <doctest/doctest.h>

#include <string>

namespace nodepilot {
namespace {

using namespace std::string_literals;

const TrustDomain kTd = *TrustDomain::parse("td");
const Selector kNs{"k8s", "ns:shop"};
const Selector kSa{"k8s", "sa:web"};

IdTemplate pod_template() {
  auto made = IdTemplate::parse(kTd, "/ns/{k8s:ns}/sa/{k8s:sa}");
  REQUIRE(made);
  return *made;
}

TEST_CASE("a template gives the ID that the caller's selectors spell") {
  auto id = pod_template().fill({kNs, kSa, {"unix", "uid:0"}});

  REQUIRE(id);
  CHECK(id->str() == "spiffe://td/ns/shop/sa/web");
}

TEST_CASE("a key may have a name in it") {
  auto made = IdTemplate::parse(kTd, "/app/{k8s:pod-label:app}");
  REQUIRE(made);

  auto id = made->fill({{"k8s", "pod-label:app:web"}, {"k8s", "pod-label:tier:front"}});

  REQUIRE(id);
  CHECK(id->str() == "spiffe://td/app/web");
}

TEST_CASE("a place without a value, or with two, gives no ID and says which") {
  auto none = pod_template().fill({kNs});
  REQUIRE_FALSE(none);
  CHECK(none.error().code == Code::kFailedPrecondition);
  CHECK(none.error().message == "{k8s:sa} has no value");

  auto two = pod_template().fill({kNs, kSa, {"k8s", "sa:db"}});
  REQUIRE_FALSE(two);
  CHECK(two.error().message == R"({k8s:sa} has 2 values, "db" and "web" among them)");
}

TEST_CASE("a value that is no single path segment is neither escaped nor changed but refused") {
  for (const std::string& value : {"a/b"s, "/"s, "."s, ".."s, "a b"s, "a%2fb"s, "\u00fc"s, "a:b"s,
                                   "a\\b"s, "{x}"s, std::string(3000, 'a')}) {
    CAPTURE(value);
    auto id = pod_template().fill({{"k8s", "ns:" + value}, kSa});
    REQUIRE_FALSE(id);
    CHECK(id.error().code == Code::kFailedPrecondition);
    CHECK(id.error().message.starts_with("{k8s:ns} is"));
  }
}

TEST_CASE("values that fit one by one but not together give no ID") {
  auto made = IdTemplate::parse(kTd, "/{k8s:ns}/{k8s:sa}");
  REQUIRE(made);

  CHECK_FALSE(made->fill(
      {{"k8s", "ns:" + std::string(1500, 'a')}, {"k8s", "sa:" + std::string(1500, 'b')}}));
}

TEST_CASE("an empty value is no value") { CHECK_FALSE(pod_template().fill({{"k8s", "ns:"}, kSa})); }

TEST_CASE("only whole segments are places, so that no two callers can meet in one ID") {
  for (const char* path : {"/ns-{k8s:ns}", "/{k8s:ns}{k8s:sa}", "/{k8s:ns}x", "/{", "/}", "/{}",
                           "/{{k8s:ns}}", "/a{b}c", "/{k8s}", "/{:ns}", "/{k8s:}"}) {
    CAPTURE(path);
    auto made = IdTemplate::parse(kTd, path);
    REQUIRE_FALSE(made);
    CHECK(made.error().code == Code::kInvalidArgument);
  }
}

TEST_CASE("a template must be a path, have a place, and be an ID otherwise") {
  for (const char* path : {"", "ns/{k8s:ns}", "/web", "//{k8s:ns}", "/{k8s:ns}/", "/a b/{k8s:ns}",
                           "/../{k8s:ns}", "/%41/{k8s:ns}"}) {
    CAPTURE(path);
    CHECK_FALSE(IdTemplate::parse(kTd, path));
  }
}

TEST_CASE("a template knows the IDs that it could have given") {
  IdTemplate pods = pod_template();

  CHECK(pods.fits(*SpiffeId::parse("spiffe://td/ns/shop/sa/web")));
  CHECK(pods.fits(pods.sample()));
  for (const char* id : {"spiffe://other/ns/shop/sa/web", "spiffe://td/ns/shop/sa",
                         "spiffe://td/ns/shop/sa/web/x", "spiffe://td/n/shop/sa/web"}) {
    CAPTURE(id);
    CHECK_FALSE(pods.fits(*SpiffeId::parse(id)));
  }
}

TEST_CASE("a template tells what it is made of") {
  IdTemplate pods = pod_template();

  CHECK(pods.str() == "spiffe://td/ns/{k8s:ns}/sa/{k8s:sa}");
  CHECK(pods.places() == SelectorKeys{{"k8s", "ns"}, {"k8s", "sa"}});
  CHECK(IdTemplate::is_meant("/ns/{k8s:ns}"));
  CHECK_FALSE(IdTemplate::is_meant("/ns/shop"));
}

}  // namespace
}  // namespace nodepilot
