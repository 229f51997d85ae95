#include "rotation/outputs/output_set.h"

#include <doctest/doctest.h>

#include "rotation/pki/issuer.h"
#include "test/outputs/kit.h"

namespace nodepilot {
namespace {

std::string text_of(const OutputFile& file) { return {file.bytes.begin(), file.bytes.end()}; }

BundlePtr foreign_bundle(const char* name) {
  auto trust_domain = TrustDomain::parse(name).value();
  auto key = PrivateKey::generate().value();
  Time now = FakeClock().now();
  auto root = make_root(key, trust_domain, {now, now + hours(1)}).value();
  return std::make_shared<const TrustBundle>(TrustBundle::create(trust_domain, {root}).value());
}

TEST_CASE("the profiles pem and tls have chain, key and roots in files of their own") {
  OutputContent content = ContentSource().make();

  for (OutputProfile profile : {OutputProfile::kPem, OutputProfile::kTls}) {
    auto files = render(content, profile);

    REQUIRE(files.size() == 3);
    CHECK(Certificate::parse_pem(text_of(files[0])).value() == content.svid->chain());
    CHECK(content.svid->leaf().has_key(PrivateKey::parse_pem(files[1].bytes).value()));
    CHECK(Certificate::parse_pem(text_of(files[2])).value() == content.bundle->roots());
    CHECK_FALSE(files[0].has_key);
    CHECK(files[1].has_key);
    CHECK_FALSE(files[2].has_key);
  }
  CHECK(file_names(OutputProfile::kPem) ==
        std::vector<std::string>{"svid.pem", "svid_key.pem", "bundle.pem"});
  CHECK(file_names(OutputProfile::kTls) ==
        std::vector<std::string>{"tls.crt", "tls.key", "ca.crt"});
}

TEST_CASE("the profile bundle has the key first and then the chain in one file") {
  OutputContent content = ContentSource().make();

  auto files = render(content, OutputProfile::kBundle);

  REQUIRE(files.size() == 2);
  CHECK(files[0].name == "credential-bundle.pem");
  CHECK(files[0].has_key);
  std::string text = text_of(files[0]);
  CHECK(text.starts_with("-----BEGIN PRIVATE KEY-----\n"));
  CHECK(content.svid->leaf().has_key(PrivateKey::parse_pem(files[0].bytes).value()));
  auto chain = Certificate::parse_pem(text.substr(text.find("-----BEGIN CERTIFICATE-----")));
  CHECK(chain.value() == content.svid->chain());
  CHECK(files[1].name == "ca.crt");
  CHECK_FALSE(files[1].has_key);
}

TEST_CASE("federated roots stand behind our own") {
  OutputContent content = ContentSource().make();
  BundlePtr partner = foreign_bundle("partner");
  content.federated = {{partner->trust_domain(), partner}};

  auto files = render(content, OutputProfile::kTls);

  auto roots = Certificate::parse_pem(text_of(files[2])).value();
  REQUIRE(roots.size() == 2);
  CHECK(roots[0] == content.bundle->roots().front());
  CHECK(roots[1] == partner->roots().front());
}

TEST_CASE("contents are the same files unless the SVID or a root differs") {
  ContentSource source;
  OutputContent content = source.make();
  OutputContent copy = content;
  copy.bundle = std::make_shared<const TrustBundle>(*content.bundle);
  OutputContent renewed = source.make();
  OutputContent with_partner = content;
  BundlePtr partner = foreign_bundle("partner");
  with_partner.federated = {{partner->trust_domain(), partner}};
  source.ca().change_root();
  OutputContent new_root = content;
  new_root.bundle = std::make_shared<const TrustBundle>(source.ca().bundle().value());

  CHECK(content.same_files(copy));
  CHECK_FALSE(content.same_files(renewed));
  CHECK_FALSE(content.same_files(with_partner));
  CHECK_FALSE(content.same_files(new_root));
}

}  // namespace
}  // namespace nodepilot
