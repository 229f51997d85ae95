#include "agent/base/spiffe_id.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace nodepilot;
using namespace std::string_literals;  // NULs

namespace {

const std::string kTd = "spiffe://example.org";

void check_all_refused(const std::vector<std::string>& ids) {
  for (const std::string& id : ids) {
    CAPTURE(id);
    auto parsed = SpiffeId::parse(id);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Code::kInvalidArgument);
  }
}

}  // namespace

TEST_CASE("well-formed SPIFFE IDs are taken as they are") {
  const std::vector<std::string> ids = {
      kTd,
      kTd + "/a",
      kTd + "/A",
      kTd + "/ns/prod/sa/default",
      kTd + "/...",
      kTd + "/.a",
      kTd + "/a.",
      kTd + "/a..b",
      kTd + "/..a",
      kTd + "/-",
      kTd + "/_",
      kTd + "/9eebccd2-12bf",
      "spiffe://10.0.0.1/x",
      "spiffe://1.2.3.4.5/x",
      "spiffe://999.1.1.1/x",
      "spiffe://trust_domain.example.com/x",
      "spiffe://x",
      "spiffe://-",
      "spiffe://_",
      "spiffe://.",
      "spiffe://..",
      "spiffe://a..b/x",
      "spiffe://.a/x",
      "spiffe://a./x",
      "spiffe://xn--bcher-kva.example/x",
      "spiffe://cluster.local/ns/a/sa/b",
  };
  for (const std::string& id : ids) {
    CAPTURE(id);
    auto parsed = SpiffeId::parse(id);
    REQUIRE(parsed);
    CHECK(parsed->str() == id);
    CHECK(parsed->trust_domain().id() + std::string(parsed->path()) == id);
  }
}

TEST_CASE("a SPIFFE ID with a wrong scheme or trust domain is refused") {
  check_all_refused({
      "",
      "spiffe",
      "spiffe:",
      "spiffe:/",
      "spiffe:/example.org/x",
      "spiffe://",
      "spiffe:///",
      "spiffe:///x",
      "example.org/x",
      "//example.org/x",
      "http://example.org/x",
      "spiffes://example.org/x",
      "SPIFFE://example.org/x",
      "Spiffe://example.org/x",
      "spiffe://Example.org/x",
      "spiffe://example.org:443/x",
      "spiffe://example.org:/x",
      "spiffe://u@example.org/x",
      "spiffe://@example.org/x",
      "spiffe://u:p@example.org/x",
      "spiffe://[::1]/x",
      "spiffe://ex%61mple.org/x",
      "spiffe://b\u00fccher.example/x",
      "spiffe://exam~ple.org/x",
      "spiffe://ex+ample/x",
      "spiffe://*.example.org/x",
      "spiffe://example.org\\x",
      "spiffe://exam\0ple.org/x"s,
  });
}

TEST_CASE("a SPIFFE ID with a wrong path is refused") {
  check_all_refused({
      kTd + "/",    kTd + "//",      kTd + "//x",     kTd + "/x/",  kTd + "/x//y", kTd + "/.",
      kTd + "/..",  kTd + "/./x",    kTd + "/x/../y", kTd + "/x/.", kTd + "/%61",  kTd + "/a%2Fb",
      kTd + "/x%",  kTd + "/\u00fc", kTd + "/a b",    kTd + "/a\n", kTd + "/a\0"s, kTd + "/a\0b"s,
      kTd + "/a+b", kTd + "/a~b",    kTd + "/a:b",    kTd + "/a@b", kTd + "/a=b",  kTd + "/a,b",
      kTd + "/a;b", kTd + "/a!b",    kTd + "/a*",     kTd + "/a$b", kTd + "/a&b",  kTd + "/(a)",
      kTd + "/a'b",
  });
}

TEST_CASE("a SPIFFE ID with a query, a fragment or space around it is refused") {
  check_all_refused({kTd + "/x?", kTd + "/x?q=1", kTd + "?", kTd + "/x#", kTd + "/x#f", " " + kTd,
                     kTd + " ", kTd + "\n"});
}

TEST_CASE("a trust domain has at most 255 bytes") {
  const std::string longest(255, 'a');

  CHECK(TrustDomain::parse(longest));
  CHECK(SpiffeId::parse("spiffe://" + longest + "/x"));
  CHECK_FALSE(TrustDomain::parse(longest + "a"));
  CHECK_FALSE(SpiffeId::parse("spiffe://" + longest + "a/x"));
}

TEST_CASE("a SPIFFE ID has at most 2048 bytes") {
  const std::string longest = kTd + "/" + std::string(2048 - kTd.size() - 1, 'a');
  REQUIRE(longest.size() == 2048);

  CHECK(SpiffeId::parse(longest));
  check_all_refused({longest + "a"});
}

TEST_CASE("an ID is made from a trust domain and a path") {
  auto td = TrustDomain::parse("example.org").value();

  CHECK(SpiffeId::make(td, "/ns/shop/sa/web")->str() == kTd + "/ns/shop/sa/web");
  CHECK(SpiffeId::make(td, "")->str() == kTd);
}

TEST_CASE("making an ID refuses instead of mending the path") {
  auto td = TrustDomain::parse("example.org").value();

  for (const std::string& path :
       {"x"s, "/"s, "/x/"s, "//x"s, "/../x"s, "/x/./y"s, "/a%20b"s, ".evil.org/x"s, ":443/x"s,
        "/a\0"s, "/" + std::string(2048, 'a')}) {
    CAPTURE(path);
    CHECK_FALSE(SpiffeId::make(td, path));
  }
}

TEST_CASE("the parts of an ID are its trust domain and its path") {
  auto with_path = SpiffeId::parse(kTd + "/ns/shop").value();
  auto bare = SpiffeId::parse(kTd).value();

  CHECK(with_path.trust_domain().name() == "example.org");
  CHECK(with_path.path() == "/ns/shop");
  CHECK(with_path.has_path());
  CHECK(bare.path().empty());
  CHECK_FALSE(bare.has_path());
  CHECK(bare.trust_domain() == with_path.trust_domain());
}

TEST_CASE("IDs are the same only byte for byte") {
  auto lower = SpiffeId::parse(kTd + "/a").value();
  auto upper = SpiffeId::parse(kTd + "/A").value();

  CHECK(lower == SpiffeId::parse(kTd + "/a").value());
  CHECK(lower != upper);
  CHECK(upper < lower);
}

TEST_CASE("a refused ID is quoted in the error, but neither whole nor raw") {
  auto parsed = SpiffeId::parse("spiffe://evil\n" + std::string(1000, 'a'));

  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().message.find("spiffe://evil\\n") != std::string::npos);
  CHECK(parsed.error().message.find('\n') == std::string::npos);
  CHECK(parsed.error().message.size() < 300);
}

TEST_CASE("the error of a refused ID names the broken rule") {
  CHECK(SpiffeId::parse("http://a").error().message.ends_with("must start with spiffe://"));
  CHECK(SpiffeId::parse(kTd + "/x/").error().message.find("segment is empty") != std::string::npos);
  CHECK(TrustDomain::parse("A").error().message.find("may only hold a-z") != std::string::npos);
}
