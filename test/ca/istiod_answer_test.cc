#include "rotation/ca/istiod/istiod_answer.h"

#include <doctest/doctest.h>

#include "test/ca/istiod_kit.h"

namespace nodepilot {
namespace {

using test::entry_of;
using test::IstioResponse;
using test::TestCa;

struct Rig {
  std::string leaf() const {
    return root.leaf(PrivateKey::generate().value(), "spiffe://example.org/ns/a/sa/b").pem();
  }

  TestCa root = TestCa::root();
  std::string root_pem = root.certificate.pem();
};

IstioResponse response_of(const std::vector<std::string>& elements) {
  IstioResponse response;
  for (const std::string& element : elements) response.add_cert_chain(element);
  return response;
}

std::string refusal(const std::vector<std::string>& elements) {
  auto answer = read_istiod_answer(response_of(elements));
  if (answer) return "accepted";
  CHECK(answer.error().code == Code::kDataLoss);
  return answer.error().message;
}

TEST_CASE("a request holds the CSR as PEM, the life in seconds, and no more") {
  Csr csr = Csr::create(PrivateKey::generate().value(), test::id_of("/ns/a/sa/b")).value();
  Entry entry = entry_of("/ns/a/sa/b");
  entry.ttl = std::chrono::seconds(90);

  auto request = make_istiod_request(csr, entry, {});

  CHECK(request.csr().starts_with("-----BEGIN CERTIFICATE REQUEST-----\n"));
  CHECK(test::parse_csr(request.csr()).der() == csr.der());
  CHECK(request.validity_duration() == 90);
  CHECK_FALSE(request.has_metadata());
}

TEST_CASE(
    "a node agent's request names the identity that it is for, and a signer if there is one") {
  Csr csr = Csr::create(PrivateKey::generate().value(), test::id_of("/ns/a/sa/b")).value();
  IstiodOptions options{.cert_signer = "istio-system", .ask_as = IstiodOptions::AskAs::kNodeAgent};

  auto request = make_istiod_request(csr, entry_of("/ns/a/sa/b"), options);

  const auto& fields = request.metadata().fields();
  CHECK(fields.size() == 2);
  CHECK(fields.at("ImpersonatedIdentity").string_value() == "spiffe://example.org/ns/a/sa/b");
  CHECK(fields.at("CertSigner").string_value() == "istio-system");
}

TEST_CASE("the messages have Istio's numbers on the wire") {
  istio::v1::auth::IstioCertificateRequest request;
  request.set_csr("c");
  request.set_validity_duration(5);
  (*request.mutable_metadata()->mutable_fields())["k"].set_string_value("v");
  CHECK(request.SerializeAsString() ==
        std::string("\x0a\x01"
                    "c\x18\x05\x22\x0a\x0a\x08\x0a\x01k\x12\x03\x1a\x01v"));
  CHECK(response_of({"x"}).SerializeAsString() == "\x0a\x01x");
}

TEST_CASE("leaf, intermediates and roots are told apart by their place") {
  Rig rig;
  TestCa inner = rig.root.intermediate("inner");
  TestCa innermost = inner.intermediate("innermost");
  std::string second_root = TestCa::root("second").certificate.pem();
  std::string leaf = rig.leaf();

  auto flat = read_istiod_answer(response_of({leaf, rig.root_pem})).value();
  auto deep = read_istiod_answer(response_of({leaf, innermost.certificate.pem(),
                                              inner.certificate.pem(), rig.root_pem + second_root}))
                  .value();
  auto joined =
      read_istiod_answer(
          response_of({leaf, innermost.certificate.pem() + inner.certificate.pem(), rig.root_pem}))
          .value();

  CHECK(concatenated_pem(flat.chain) == leaf);
  CHECK(flat.roots == std::vector{rig.root.certificate});
  CHECK(deep.chain.size() == 3);
  CHECK(deep.chain[1] == innermost.certificate);
  CHECK(concatenated_pem(deep.roots) == rig.root_pem + second_root);
  CHECK(joined.chain == deep.chain);
}

TEST_CASE("an answer without leaf or roots is refused") {
  Rig rig;
  CHECK(refusal({}) == "the answer's cert_chain: 0 elements; a leaf and the roots are the least");
  CHECK(refusal({rig.leaf() + rig.root_pem}) ==
        "the answer's cert_chain: 1 element; a leaf and the roots are the least");
  CHECK(refusal({"", rig.root_pem}).starts_with("the answer's cert_chain: element 1: "));
  CHECK(refusal({rig.leaf(), ""}).starts_with("the answer's cert_chain: element 2: "));
}

TEST_CASE("garbage is refused and its place told") {
  Rig rig;
  std::string cut = rig.leaf();
  cut.resize(cut.size() / 2);
  CHECK(refusal({cut, rig.root_pem}).starts_with("the answer's cert_chain: element 1: "));
  CHECK(refusal({rig.leaf(), "garbage", rig.root_pem})
            .starts_with("the answer's cert_chain: element 2: "));
}

TEST_CASE("a chain is bounded however it is spread") {
  Rig rig;
  std::string link = rig.root.intermediate("i").certificate.pem();
  auto times = [](int count, const std::string& text) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  };
  std::vector<std::string> spread(10, link);

  CHECK(refusal({rig.leaf(), times(9, link), rig.root_pem}) == "accepted");
  CHECK(refusal({rig.leaf(), times(10, link), rig.root_pem}) ==
        "the answer's cert_chain: more than 10 certificates before the roots");
  spread.push_back(rig.root_pem);
  CHECK(refusal(spread) == "accepted");
  spread.push_back(rig.root_pem);
  CHECK(refusal(spread) == "the answer's cert_chain: 12 elements, at most 11 are allowed");
  CHECK(refusal({rig.leaf(), times(101, rig.root_pem)})
            .starts_with("the answer's cert_chain: element 2: "));
}

TEST_CASE("a CA of pods can look up IDs of namespace and account only") {
  auto good = [](const std::string& path) {
    return check_kubernetes_id(test::id_of(path)).has_value();
  };
  CHECK(good("/ns/shop/sa/web"));
  CHECK(good("/ns/ns/sa/sa"));
  for (const char* path : {"/web", "/ns", "/ns/shop", "/ns/shop/sa", "/ns/shop/sa/web/x",
                           "/sa/web/ns/shop", "/x/ns/shop/sa/web", "/NS/shop/sa/web"}) {
    CHECK_FALSE(good(path));
  }
  CHECK(check_kubernetes_id(test::id_of("/web")).error().message ==
        "must be spiffe://example.org/ns/NAMESPACE/sa/ACCOUNT for the CA to look up, got "
        "spiffe://example.org/web");
}

}  // namespace
}  // namespace nodepilot
