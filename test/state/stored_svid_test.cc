#include "rotation/state/stored_svid.h"

#include <doctest/doctest.h>

#include "test/pki/jose_key.h"
#include "test/pki/test_ca.h"

namespace nodepilot {
namespace {

StoredSvid make_svid() {
  auto root = test::TestCa::root();
  auto intermediate = root.intermediate("between");
  PrivateKey key = PrivateKey::generate().value();
  Certificate leaf = intermediate.leaf(key, "spiffe://td/web");
  return {.spiffe_id = SpiffeId::parse("spiffe://td/web").value(),
          .dns_names = {"a.example", "b.example"},
          .arrived = test::noon(),
          .key = key,
          .chain = {leaf, intermediate.certificate}};
}

TEST_CASE("an SVID comes back as it was") {
  StoredSvid svid = make_svid();

  auto back = decode_svid(encode_svid(svid));

  REQUIRE(back);
  CHECK(back->spiffe_id == svid.spiffe_id);
  CHECK(back->dns_names == svid.dns_names);
  CHECK(back->arrived == svid.arrived);
  CHECK(back->key.pkcs8_der() == svid.key.pkcs8_der());
  CHECK(back->chain == svid.chain);
}

TEST_CASE("an SVID cut short anywhere, or with bytes behind it, is damage") {
  SecretBytes bytes = encode_svid(make_svid());

  std::size_t whole = 0;
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    SecretBytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    auto back = decode_svid(cut);
    if (back) {
      ++whole;  // cut between two certificates; that the chain leads nowhere is found later
    } else {
      CHECK(back.error().code == Code::kDataLoss);
    }
  }
  CHECK(whole <= 2);
  bytes.push_back(0);
  CHECK(decode_svid(bytes).error().code == Code::kDataLoss);
}

TEST_CASE("an SVID is for an entry that asks for the same names") {
  StoredSvid svid = make_svid();
  Entry entry{
      .id = "e", .spiffe_id = svid.spiffe_id, .match = {}, .dns_names = svid.dns_names, .hint = ""};

  CHECK(svid.is_for(entry));
  entry.dns_names.pop_back();
  CHECK_FALSE(svid.is_for(entry));
  entry.dns_names = svid.dns_names;
  entry.spiffe_id = SpiffeId::parse("spiffe://td/other").value();
  CHECK_FALSE(svid.is_for(entry));
}

TEST_CASE("a bundle comes back with its roots and its JWT keys") {
  auto bundle = TrustBundle::create(
                    TrustDomain::parse("td").value(),
                    {test::TestCa::root("a").certificate, test::TestCa::root("b").certificate},
                    {test::JoseKey::p256().authority("k1")})
                    .value();

  CHECK(decode_bundle(encode_bundle(bundle)).value() == bundle);
}

TEST_CASE("a bundle cut short anywhere is damage") {
  auto bundle =
      TrustBundle::create(TrustDomain::parse("td").value(), {test::TestCa::root().certificate})
          .value();
  SecretBytes bytes = encode_bundle(bundle);

  for (std::size_t length = 0; length < bytes.size(); ++length) {
    SecretBytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    CHECK(decode_bundle(cut).error().code == Code::kDataLoss);
  }
}

}  // namespace
}  // namespace nodepilot
