#include "rotation/ca/vault/vault_reply.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;
using test::TestCa;

struct Pems {
  TestCa ca = TestCa::root();
  PrivateKey key = PrivateKey::generate().value();
  std::string root = ca.certificate.pem();
  std::string leaf = ca.leaf(key, "spiffe://b.org/web").pem();

  Json answer() const {
    return {{"data", {{"certificate", leaf}, {"issuing_ca", root}, {"ca_chain", {root}}}}};
  }
};

std::string refusal_of(const Json& answer) {
  auto chain = read_signed_chain(answer);
  if (chain) return "accepted";
  CHECK(chain.error().code == Code::kDataLoss);
  return chain.error().message;
}

TEST_CASE("a signed chain is the leaf and what stands above it") {
  Pems pems;

  auto chain = read_signed_chain(pems.answer());

  REQUIRE(chain);
  REQUIRE(chain->size() == 2);
  CHECK((*chain)[0].pem() == pems.leaf);
  CHECK((*chain)[1].pem() == pems.root);
}

TEST_CASE("old servers tell the issuer alone") {
  Pems pems;
  Json answer = pems.answer();
  answer["data"].erase("ca_chain");

  auto chain = read_signed_chain(answer);

  REQUIRE(chain);
  CHECK((*chain)[1].pem() == pems.root);
}

TEST_CASE("a signed chain of another form is refused") {
  Pems pems;
  auto with = [&](const char* name, const Json& value) {
    Json answer = pems.answer();
    answer["data"][name] = value;
    return refusal_of(answer);
  };
  const std::string what = "the answer of Vault: ";

  CHECK(refusal_of(Json::object()) == what + "data.certificate is missing");
  CHECK(refusal_of({{"data", nullptr}}) == what + "data.certificate is missing");
  CHECK(with("certificate", 1) == what + "data.certificate is missing");
  CHECK(with("certificate", "").starts_with(what + "data.certificate: "));
  CHECK(with("certificate", pems.leaf + pems.root) ==
        what + "data.certificate holds 2 certificates instead of one");
  CHECK(with("ca_chain", pems.root) == what + "data.ca_chain is not a list");
  CHECK(with("ca_chain", {1}) == what + "data.ca_chain holds something else than texts");
  CHECK(with("ca_chain", std::vector<std::string>(10, pems.root)) ==
        what + "data.ca_chain holds 10 certificates, at most 9 are allowed");
  CHECK(with("ca_chain", {"garbage"}).starts_with(what + "data.ca_chain: "));
  Json bare = {{"data", {{"certificate", pems.leaf}}}};
  CHECK(refusal_of(bare) == what + "data.ca_chain and data.issuing_ca are missing");
}

TEST_CASE("the chain of a mount may come under either name") {
  Pems pems;

  auto chain = read_ca_chain({{"data", {{"ca_chain", pems.root}}}});
  auto old = read_ca_chain({{"data", {{"certificate", pems.root}}}});

  REQUIRE(chain);
  CHECK(chain->size() == 1);
  REQUIRE(old);
  CHECK(old->front().pem() == pems.root);
  CHECK_FALSE(read_ca_chain({{"data", {{"ca_chain", "garbage"}}}}));
  CHECK_FALSE(read_ca_chain({{"data", Json::object()}}));
  CHECK_FALSE(read_ca_chain(Json::object()));
}

TEST_CASE("a lease is read whole or not at all") {
  Json good = {{"client_token", "s.a"}, {"lease_duration", 3600}, {"renewable", true}};
  auto refuses = [&](const char* name, const Json& value) {
    Json auth = good;
    auth[name] = value;
    return !read_lease({{"auth", auth}});
  };

  auto lease = read_lease({{"auth", good}});

  REQUIRE(lease);
  CHECK(lease->token == SecretBytes{'s', '.', 'a'});
  CHECK(lease->duration == std::chrono::hours(1));
  CHECK(lease->renewable);
  CHECK(refuses("client_token", ""));
  CHECK(refuses("client_token", "a b"));
  CHECK(refuses("client_token", "a\r\nX: y"));
  CHECK(refuses("client_token", "a\"b"));
  CHECK(refuses("client_token", std::string(16385, 'x')));
  CHECK(refuses("client_token", nullptr));
  CHECK(refuses("lease_duration", -1));
  CHECK(refuses("lease_duration", 1.5));
  CHECK(refuses("lease_duration", "3600"));
  CHECK(refuses("lease_duration", std::uint64_t{1} << 63));
  CHECK(refuses("renewable", 1));
  CHECK_FALSE(read_lease({{"auth", nullptr}}));
}

}  // namespace
}  // namespace nodepilot
