#include <doctest/doctest.h>

#include "agent/base/clock.h"
#include "rotation/ca/istiod/client_certificate.h"
#include "test/ca/istiod_kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::noon;
using test::TestCa;

struct Rig {
  Rig() { write(key, key); }

  Certificate make(const PrivateKey& of) const { return ca.leaf(of, "spiffe://example.org/a"); }
  void write(const PrivateKey& certified, const PrivateKey& kept) const {
    directory.write("cert.pem", make(certified).pem());
    auto file = directory.write("key.pem", test::text_of(kept.pkcs8_pem()));
    std::filesystem::permissions(
        file, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }

  TemporaryDirectory directory;
  FakeClock clock{noon()};
  TestCa ca = TestCa::root();
  PrivateKey key = PrivateKey::generate().value();
  ClientCertificate certificate{directory / "cert.pem", directory / "key.pem",
                                [this] { return clock.now(); }};
};

TEST_CASE("certificate and key are read, and read again when they change") {
  Rig rig;
  auto first = rig.certificate.read();
  REQUIRE(first);
  CHECK(first->chain_pem.starts_with("-----BEGIN CERTIFICATE-----"));
  CHECK(PrivateKey::parse_pem(first->key_pem).value().pkcs8_der() == rig.key.pkcs8_der());
  CHECK(rig.certificate.read() == first);

  rig.write(rig.key, rig.key);  // a new certificate of the same key

  auto second = rig.certificate.read();
  REQUIRE(second);
  CHECK(second->chain_pem != first->chain_pem);
}

TEST_CASE("a pair that is half replaced, corrupt or gone leaves the one read before") {
  Rig rig;
  auto first = rig.certificate.read();
  PrivateKey next = PrivateKey::generate().value();

  rig.write(next, rig.key);
  CHECK(rig.certificate.read() == first);
  rig.directory.write("cert.pem", "garbage");
  CHECK(rig.certificate.read() == first);
  std::filesystem::remove(rig.directory / "key.pem");
  CHECK(rig.certificate.read() == first);

  rig.write(next, next);
  auto second = rig.certificate.read();
  REQUIRE(second);
  CHECK(second != first);
}

TEST_CASE("a key that others may read is not used") {
  Rig rig;
  std::filesystem::permissions(rig.directory / "key.pem", std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);

  CHECK_FALSE(rig.certificate.read());
}

TEST_CASE("a certificate that has ended is not shown") {
  Rig rig;
  REQUIRE(rig.certificate.read());

  rig.clock.advance(2h);

  CHECK_FALSE(rig.certificate.read());
}

}  // namespace
}  // namespace nodepilot
