#include "rotation/pki/root_list.h"

#include <doctest/doctest.h>

#include "rotation/pki/issuer.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

const Time kNow{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};

Certificate make_any_root() {
  auto key = PrivateKey::generate().value();
  return make_root(key, TrustDomain::parse("example.org").value(), {kNow, kNow + 1h}).value();
}

// Certificates of the sort that we do not use.
constexpr const char* kUnusable =
    "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";

TEST_CASE("the roots of a text are read in order, each once, and the text between is skipped") {
  Certificate a = make_any_root();
  Certificate b = make_any_root();

  auto roots = parse_root_list("# Comment\n" + b.pem() + "\n# A\n" + a.pem() + b.pem() + "end");

  REQUIRE(roots);
  CHECK(*roots == std::vector<Certificate>{b, a});
}

TEST_CASE("a root that cannot be used does not cost the others") {
  Certificate good = make_any_root();

  auto roots = parse_root_list(kUnusable + good.pem() + kUnusable);

  REQUIRE(roots);
  CHECK(*roots == std::vector<Certificate>{good});
}

TEST_CASE("a text without a usable root is refused with the cause") {
  for (const std::string& text : {std::string(), std::string("-----BEGIN CERTIFICATE-----\nabc"),
                                  std::string("-----BEGIN PRIVATE KEY-----\n")}) {
    auto roots = parse_root_list(text);
    REQUIRE_FALSE(roots);
    CHECK(roots.error().message == "roots: no usable \"-----BEGIN CERTIFICATE-----\" block");
  }
  CHECK(parse_root_list(kUnusable).error().message.find("; the last of those skipped: ") !=
        std::string::npos);
}

TEST_CASE("a text that is cut in its last block keeps the blocks before") {
  Certificate good = make_any_root();
  std::string cut = make_any_root().pem();
  cut.resize(cut.size() - 10);

  CHECK(parse_root_list(good.pem() + cut).value() == std::vector<Certificate>{good});
}

TEST_CASE("a list is bounded in bytes") {
  std::string padded = make_any_root().pem();
  padded.resize(kMaxPemBytes, ' ');

  CHECK(parse_root_list(padded));
  CHECK(parse_root_list(padded + " ").error().message ==
        "roots: 1048577 bytes of PEM, at most 1048576 are allowed");
}

}  // namespace
}  // namespace nodepilot
