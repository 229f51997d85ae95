#include "agent/endpoint_certificate.h"

#include <doctest/doctest.h>
#include <openssl/ssl.h>

#include "test/pki/test_ca.h"
#include "test/rotation/rig.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string der_of(const TlsContext& tls) {
  auto* raw = const_cast<TlsContext&>(tls).native_handle();
  unsigned char* bytes = nullptr;
  int length = i2d_X509(SSL_CTX_get0_certificate(raw), &bytes);
  std::string der(reinterpret_cast<char*>(bytes), static_cast<std::size_t>(length));
  OPENSSL_free(bytes);
  return der;
}

struct FileRig {
  FileRig() { renew(); }

  // Writes a new key and a certificate for it, which is returned.
  Certificate renew() {
    PrivateKey key = PrivateKey::generate().value();
    Certificate leaf = ca.leaf(key, "spiffe://td/x");
    write_key(key);
    directory.write("cert.pem", leaf.pem());
    return leaf;
  }
  void write_key(const PrivateKey& key) {
    SecretBytes pem = key.pkcs8_pem();
    auto file = directory.write("key.pem", std::string(pem.begin(), pem.end()));
    std::filesystem::permissions(
        file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }

  TemporaryDirectory directory;
  FakeClock clock;
  InlineWorkers workers;
  test::TestCa ca = test::TestCa::root();
  std::vector<std::string> shown;
  FileCertificate certificate{
      clock,
      workers,
      {directory / "cert.pem", directory / "key.pem"},
      [this](const std::shared_ptr<TlsContext>& tls) { shown.push_back(der_of(*tls)); }};
};

TEST_CASE("a certificate from files is shown at start and again when it has changed") {
  FileRig rig;
  Certificate first = rig.renew();
  REQUIRE(rig.certificate.start());
  CHECK(rig.shown == std::vector{first.der()});

  rig.clock.advance(minutes(10));
  CHECK(rig.shown.size() == 1);
  Certificate second = rig.renew();
  rig.clock.advance(minutes(1));

  CHECK(rig.shown == std::vector{first.der(), second.der()});
}

TEST_CASE("files that do not go together leave the certificate as it is until they do") {
  FileRig rig;
  REQUIRE(rig.certificate.start());
  PrivateKey key = PrivateKey::generate().value();
  Certificate next = rig.ca.leaf(key, "spiffe://td/x");

  rig.directory.write("cert.pem", next.pem());
  rig.clock.advance(minutes(1));
  CHECK(rig.shown.size() == 1);
  rig.write_key(key);
  rig.clock.advance(minutes(1));

  REQUIRE(rig.shown.size() == 2);
  CHECK(rig.shown.back() == next.der());
}

TEST_CASE("at start a certificate must be there, and its key private") {
  auto refusal = [](const std::function<void(FileRig&)>& spoil) {
    FileRig rig;
    spoil(rig);
    auto started = rig.certificate.start();
    return started ? "started" : started.error().message;
  };

  CHECK(has(refusal([](FileRig& r) { std::filesystem::remove(r.directory / "cert.pem"); }),
            "cert.pem: No such file"));
  CHECK(has(refusal([](FileRig& r) { r.directory.write("cert.pem", "junk"); }),
            "cert.pem: certificates: "));
  CHECK(has(refusal([](FileRig& r) { r.directory.write("key.pem", "junk"); }), "key.pem: "));
  CHECK(has(refusal([](FileRig& r) {
              std::filesystem::permissions(r.directory / "key.pem",
                                           std::filesystem::perms::others_read,
                                           std::filesystem::perm_options::add);
            }),
            "chmod 0600"));
  CHECK(has(refusal([](FileRig& r) { r.write_key(PrivateKey::generate().value()); }),
            "is not that of the certificate"));
}

TEST_CASE("the endpoint's own SVID is wanted, shown and renewed like a workload's") {
  Entry entry = endpoint_entry(SpiffeId::parse("spiffe://td/endpoint").value(), hours(1));
  entry.id = "endpoint";
  Rig rig(EntrySet({entry}), {}, [] { return 0.5; });
  std::vector<std::string> shown;

  SvidCertificate certificate(
      rig.store, [&](const std::shared_ptr<TlsContext>& tls) { shown.push_back(der_of(*tls)); });
  REQUIRE(shown.size() == 1);
  CHECK(shown.back() == rig.store.svid("endpoint")->leaf().der());
  rig.clock.advance(minutes(40));

  REQUIRE(shown.size() == 2);
  CHECK(shown.back() == rig.store.svid("endpoint")->leaf().der());
}

TEST_CASE("no caller matches the rule for the endpoint") {
  Entry entry = endpoint_entry(SpiffeId::parse("spiffe://td/endpoint").value(), hours(1));
  EntrySet entries({entry});

  CHECK(entries.match({{"unix", "uid:0"}, {"unix", "path:/usr/bin/nodepilot"}}).empty());
  CHECK_FALSE(entries.match(endpoint_selectors()).empty());
}

}  // namespace
}  // namespace nodepilot
