#include "rotation/ca/local_ca.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "rotation/pki/jwt_validation.h"
#include "rotation/pki/x509_svid.h"
#include "test/pki/test_ca.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using test::noon;
using test::Recipe;
using test::TestCa;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  ::stat(path.c_str(), &status);
  return status.st_mode & 07777;
}

std::string text_of(const PrivateKey& key) {
  auto pem = key.pkcs8_pem();
  return {pem.begin(), pem.end()};
}

Entry entry_for(const std::string& id, std::chrono::seconds ttl = 1h) {
  return {.id = "web",
          .spiffe_id = SpiffeId::parse(id).value(),
          .match = {},
          .ttl = ttl,
          .dns_names = {"web.example.org"},
          .hint = {}};
}

// A directory for the CA's files, and a time of our own.
struct Rig {
  TemporaryDirectory directory;
  fs::path dir = directory.path();
  Time now = noon();
  PrivateKey key = PrivateKey::generate().value();

  fs::path own_file() const { return dir / "state" / "local-ca.pem"; }

  LocalCa::Options options(const std::string& trust_domain = "example.org") const {
    return {.trust_domain = TrustDomain::parse(trust_domain).value(),
            .state_dir = dir / "state",
            .certificate_file = {},
            .key_file = {}};
  }
  expected<std::unique_ptr<LocalCa>> open(const LocalCa::Options& options) {
    return LocalCa::open(options, [this] { return now; });
  }
  std::unique_ptr<LocalCa> open() { return open(options()).value(); }

  fs::path write(const std::string& name, const std::string& text, mode_t mode = 0600) const {
    std::ofstream(dir / name) << text;
    ::chmod((dir / name).c_str(), mode);
    return dir / name;
  }
  // With the operator's own CA.
  expected<std::unique_ptr<LocalCa>> open_given(const PrivateKey& ca_key,
                                                const std::vector<Certificate>& chain,
                                                mode_t key_mode = 0600) {
    LocalCa::Options given = options();
    given.certificate_file = write("ca.pem", concatenated_pem(chain));
    given.key_file = write("ca.key", text_of(ca_key), key_mode);
    return open(given);
  }
  std::string refusal_of_given(const PrivateKey& ca_key, const std::vector<Certificate>& chain,
                               mode_t key_mode = 0600) {
    auto ca = open_given(ca_key, chain, key_mode);
    return ca ? "accepted" : ca.error().message;
  }

  expected<std::vector<Certificate>> sign(LocalCa& ca, const Entry& entry) const {
    return ca.sign(Csr::create(key, entry.spiffe_id).value(), entry);
  }
  expected<X509Svid> verify(LocalCa& ca, const std::vector<Certificate>& chain,
                            const Entry& entry) const {
    return X509Svid::verified(key, chain, ca.bundle().value(),
                              {.id = entry.spiffe_id, .dns_names = entry.dns_names, .now = now});
  }
};

}  // namespace

TEST_CASE("the first start makes a root in a file that only we can read") {
  Rig rig;

  auto ca = rig.open();

  auto roots = ca->bundle().value().roots();
  REQUIRE(roots.size() == 1);
  CHECK(roots[0].is_self_signed());
  CHECK(roots[0].uri_sans() == std::vector<std::string>{"spiffe://example.org"});
  CHECK(roots[0].validity().not_before == noon() - 10s);
  CHECK(roots[0].validity().not_after == noon() + 24h * 3650);
  CHECK(mode_of(rig.own_file()) == 0600);
  CHECK(mode_of(rig.dir / "state") == 0700);
}

TEST_CASE("the next start loads the same root and the same key") {
  Rig rig;
  auto first = rig.open();
  std::string file = read(rig.own_file());
  Entry entry = entry_for("spiffe://example.org/web");

  auto second = rig.open();

  CHECK(second->bundle().value() == first->bundle().value());
  CHECK(read(rig.own_file()) == file);
  CHECK(rig.verify(*first, rig.sign(*second, entry).value(), entry).has_value());
}

TEST_CASE("what it signs passes the checks of an SVID") {
  Rig rig;
  auto ca = rig.open();
  Entry entry = entry_for("spiffe://example.org/web");

  auto chain = rig.sign(*ca, entry);

  REQUIRE(chain.has_value());
  REQUIRE(chain->size() == 1);
  CHECK(chain->front().validity().not_before == noon() - 10s);
  CHECK(chain->front().validity().not_after == noon() + 1h);
  CHECK(chain->front().dns_sans() == entry.dns_names);
  CHECK(rig.verify(*ca, *chain, entry).has_value());
}

TEST_CASE("the ID is the entry's, whatever the CSR asks for") {
  Rig rig;
  auto ca = rig.open();
  auto csr = Csr::create(rig.key, SpiffeId::parse("spiffe://example.org/admin").value()).value();

  auto chain = ca->sign(csr, entry_for("spiffe://example.org/web"));

  REQUIRE(chain.has_value());
  CHECK(chain->front().uri_sans() == std::vector<std::string>{"spiffe://example.org/web"});
}

TEST_CASE("IDs of other trust domains, or without a path, are not signed") {
  Rig rig;
  auto ca = rig.open();

  for (const char* id : {"spiffe://example.com/web", "spiffe://example.org"}) {
    auto chain = rig.sign(*ca, entry_for(id));

    REQUIRE_FALSE(chain.has_value());
    CHECK(chain.error().code == Code::kInvalidArgument);
    CHECK(has(chain.error().message, id));
  }
}

TEST_CASE("the JWT-SVIDs it signs verify by its bundle") {
  Rig rig;
  auto ca = rig.open();
  auto id = SpiffeId::parse("spiffe://example.org/web").value();

  auto svid = ca->sign_jwt(id, {"api"}, 5min);

  REQUIRE(svid.has_value());
  CHECK(svid->issued_at == noon());
  CHECK(svid->expires_at == noon() + 5min);
  auto bundle = ca->bundle().value();
  auto lookup = [&](const TrustDomain&) { return &bundle; };
  CHECK(validate_jwt_svid(svid->token, "api", lookup, noon(), Duration(0))->id == id);
}

TEST_CASE("a JWT-SVID lives a day at most") {
  Rig rig;

  auto svid = rig.open()->sign_jwt(SpiffeId::parse("spiffe://example.org/web").value(), {"api"},
                                   std::chrono::hours(25));

  CHECK(svid.value().expires_at == noon() + 24h);
}

TEST_CASE("JWT keys rotate by the clock, and a token stays good after its key has been replaced") {
  Rig rig;
  auto ca = rig.open();
  auto id = SpiffeId::parse("spiffe://example.org/web").value();
  auto first = ca->bundle().value();
  rig.now = noon() + 18h;
  auto with_next = ca->bundle().value();
  rig.now = noon() + 24h - 1s;
  auto old = ca->sign_jwt(id, {"api"}, 24h).value();
  rig.now = noon() + 24h;
  auto fresh = ca->sign_jwt(id, {"api"}, 24h).value();

  rig.now = noon() + 48h - 2s;
  auto last = ca->bundle().value();

  CHECK(first.jwt_authorities().size() == 1);
  CHECK(with_next.jwt_authorities().size() == 2);
  CHECK(with_next.same_roots(first));
  CHECK(with_next.jwt_authorities()[0].has_signed(old.token));
  CHECK(with_next.jwt_authorities()[1].has_signed(fresh.token));
  auto lookup = [&](const TrustDomain&) { return &last; };
  CHECK(validate_jwt_svid(old.token, "api", lookup, rig.now, Duration(0)).has_value());
  CHECK(validate_jwt_svid(fresh.token, "api", lookup, rig.now, Duration(0)).has_value());
}

TEST_CASE("JWT-SVIDs are signed for our IDs only") {
  Rig rig;
  auto ca = rig.open();

  for (const char* id : {"spiffe://example.com/web", "spiffe://example.org"}) {
    auto svid = ca->sign_jwt(SpiffeId::parse(id).value(), {"api"}, 5min);

    REQUIRE_FALSE(svid.has_value());
    CHECK(svid.error().code == Code::kInvalidArgument);
    CHECK(has(svid.error().message, id));
  }
}

TEST_CASE("with the operator's root the JWT key is ours, and the same after a restart") {
  Rig rig;
  TestCa root = TestCa::root();

  auto first = rig.open_given(root.key, {root.certificate}).value()->bundle().value();
  auto second = rig.open_given(root.key, {root.certificate}).value()->bundle().value();

  CHECK(mode_of(rig.dir / "state" / "local-ca-jwt.json") == 0600);
  CHECK(first.jwt_authorities().size() == 1);
  CHECK(second == first);
}

TEST_CASE("a leaf never outlives its signer, and the last seconds are not signed at all") {
  Rig rig;
  auto options = rig.options();
  options.root_ttl = 2h;
  auto ca = rig.open(options).value();
  Entry entry = entry_for("spiffe://example.org/web");
  auto end_at = [&](Time now) {
    rig.now = now;
    return rig.sign(*ca, entry).value().front().validity().not_after;
  };

  CHECK(end_at(noon()) == noon() + 1h);
  CHECK(end_at(noon() + 1h + 1s) == noon() + 2h);
  CHECK(end_at(noon() + 2h - 10s) == noon() + 2h);

  rig.now = noon() + 2h - 9s;
  auto too_late = rig.sign(*ca, entry);
  REQUIRE_FALSE(too_late.has_value());
  CHECK(too_late.error().code == Code::kFailedPrecondition);
  CHECK(has(too_late.error().message, "ends at 2026-03-01T14:00:00Z"));
}

TEST_CASE("several threads sign at once") {
  Rig rig;
  auto ca = rig.open();
  Entry entry = entry_for("spiffe://example.org/web");
  std::array<bool, 4> good{};

  std::vector<std::thread> threads;
  threads.reserve(good.size());
  for (bool& is_good : good) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        auto chain = rig.sign(*ca, entry);
        is_good = chain && rig.verify(*ca, *chain, entry).has_value();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  CHECK(good == std::array{true, true, true, true});
}

TEST_CASE("a root that has expired is refused with its date, and stays") {
  Rig rig;
  rig.open();
  std::string file = read(rig.own_file());
  rig.now = noon() + 24h * 3651;

  auto ca = rig.open(rig.options());

  REQUIRE_FALSE(ca.has_value());
  CHECK(has(ca.error().message, rig.own_file().string()));
  CHECK(has(ca.error().message, "expired at 2036-02-27T12:00:00Z"));
  CHECK(has(ca.error().message, "move it away"));
  CHECK(read(rig.own_file()) == file);
}

TEST_CASE("the root of another trust domain is refused, and both are named") {
  Rig rig;
  rig.open();

  auto ca = rig.open(rig.options("example.com"));

  REQUIRE_FALSE(ca.has_value());
  CHECK(has(ca.error().message, "spiffe://example.org"));
  CHECK(has(ca.error().message, "trust_domain example.com"));
  CHECK(has(ca.error().message, rig.own_file().string()));
}

TEST_CASE("a file of our own that others can read is refused with the chmod that mends it") {
  Rig rig;
  rig.open();
  ::chmod(rig.own_file().c_str(), 0640);

  auto ca = rig.open(rig.options());

  REQUIRE_FALSE(ca.has_value());
  CHECK(has(ca.error().message, "chmod 0600 " + rig.own_file().string()));
}

TEST_CASE("a state directory that is open to others is refused") {
  Rig rig;
  rig.open();
  ::chmod((rig.dir / "state").c_str(), 0755);

  auto ca = rig.open(rig.options());

  REQUIRE_FALSE(ca.has_value());
  CHECK(has(ca.error().message, "chmod 0700"));
}

TEST_CASE("a file of our own cut short anywhere is refused and left as it is") {
  Rig rig;
  rig.open();
  const std::string file = read(rig.own_file());

  for (std::size_t size = 0; size < file.size() - 1; size += 7) {
    std::string part = file.substr(0, size);
    std::ofstream(rig.own_file()) << part;

    auto ca = rig.open(rig.options());

    REQUIRE_FALSE(ca.has_value());
    CHECK(has(ca.error().message, rig.own_file().string()));
    CHECK(has(ca.error().message, "restore it from a backup"));
    CHECK(read(rig.own_file()) == part);
  }
}

TEST_CASE("a certificate with another key in a file of our own is refused") {
  Rig rig;
  rig.open();
  std::string file = read(rig.own_file());
  std::string other = text_of(PrivateKey::generate().value());
  std::ofstream(rig.own_file()) << other << file.substr(file.find("-----BEGIN CERTIFICATE"));

  auto ca = rig.open(rig.options());

  REQUIRE_FALSE(ca.has_value());
  CHECK(has(ca.error().message, "does not belong"));
}

TEST_CASE("a state directory without a parent is an error that names it") {
  Rig rig;
  auto options = rig.options();
  options.state_dir = rig.dir / "missing" / "state";

  auto ca = rig.open(options);

  REQUIRE_FALSE(ca.has_value());
  CHECK(has(ca.error().message, options.state_dir.string()));
}

TEST_CASE("a root that the operator gives signs, and none is made") {
  Rig rig;
  TestCa root = TestCa::root();
  Entry entry = entry_for("spiffe://example.org/web");

  auto ca = rig.open_given(root.key, {root.certificate});

  REQUIRE(ca.has_value());
  auto chain = rig.sign(**ca, entry).value();
  CHECK(chain.size() == 1);
  CHECK(rig.verify(**ca, chain, entry).has_value());
  CHECK((*ca)->bundle().value().roots() == std::vector{root.certificate});
  CHECK_FALSE(fs::exists(rig.own_file()));
}

TEST_CASE("an intermediate that the operator gives signs, and its chain follows the leaf") {
  Rig rig;
  TestCa root = TestCa::root();
  TestCa upper = root.intermediate("upper");
  TestCa lower = upper.intermediate("lower", [](Recipe& r) { r.uri("spiffe://example.org"); });
  Entry entry = entry_for("spiffe://example.org/web");

  auto ca = rig.open_given(lower.key, {lower.certificate, upper.certificate, root.certificate});

  REQUIRE(ca.has_value());
  auto chain = rig.sign(**ca, entry).value();
  REQUIRE(chain.size() == 3);
  CHECK(chain[1] == lower.certificate);
  CHECK(chain[2] == upper.certificate);
  CHECK(rig.verify(**ca, chain, entry).has_value());
  CHECK((*ca)->bundle().value().roots() == std::vector{root.certificate});
}

TEST_CASE("a leaf does not outlive the intermediates above it") {
  Rig rig;
  TestCa root = TestCa::root();
  TestCa upper =
      root.intermediate("upper", [](Recipe& r) { r.validity.not_after = noon() + 30min; });
  TestCa lower = upper.intermediate("lower");
  auto ca =
      rig.open_given(lower.key, {lower.certificate, upper.certificate, root.certificate}).value();

  auto chain = rig.sign(*ca, entry_for("spiffe://example.org/web"));

  REQUIRE(chain.has_value());
  CHECK(chain->front().validity().not_after == noon() + 30min);
}

TEST_CASE("a key that is not that of the first certificate is refused") {
  Rig rig;
  TestCa root = TestCa::root();
  TestCa middle = root.intermediate("middle");

  CHECK(has(rig.refusal_of_given(root.key, {middle.certificate, root.certificate}),
            "does not belong to the first certificate"));
}

TEST_CASE("half of a CA is refused") {
  Rig rig;
  auto only_certificate = rig.options();
  only_certificate.certificate_file = rig.dir / "ca.pem";
  auto only_key = rig.options();
  only_key.key_file = rig.dir / "ca.key";

  CHECK(has(rig.open(only_certificate).error().message, "both or neither"));
  CHECK(has(rig.open(only_key).error().message, "both or neither"));
}

TEST_CASE("files of the operator that cannot be read or parsed are named") {
  Rig rig;
  TestCa root = TestCa::root();
  auto options = rig.options();
  options.certificate_file = rig.dir / "missing.pem";
  options.key_file = rig.write("ca.key", text_of(root.key));
  CHECK(has(rig.open(options).error().message, "missing.pem"));

  options.certificate_file = rig.write("garbage.pem", "garbage");
  CHECK(has(rig.open(options).error().message, "garbage.pem: certificates"));

  options.certificate_file = rig.write("ca.pem", root.certificate.pem());
  options.key_file = rig.write("garbage.key", "garbage");
  CHECK(has(rig.open(options).error().message, "garbage.key: private key"));

  CHECK(has(rig.refusal_of_given(root.key, {root.certificate}, 0640), "chmod 0600"));
}

TEST_CASE("certificates that cannot sign for this trust domain are refused") {
  Rig rig;
  auto refusal = [&](const test::Change& change) {
    TestCa root = TestCa::root("root", change);
    return rig.refusal_of_given(root.key, {root.certificate});
  };

  CHECK(refusal({}) == "accepted");
  CHECK(refusal([](Recipe& r) { r.uri("spiffe://example.org"); }) == "accepted");
  CHECK(has(refusal([](Recipe& r) { r.basic_constraints = "CA:FALSE"; }), "not a CA"));
  CHECK(has(refusal([](Recipe& r) { r.key_usage = "critical,cRLSign"; }), "keyCertSign"));
  CHECK(has(refusal([](Recipe& r) { r.uri("spiffe://example.org/ca"); }), "path"));
  CHECK(has(refusal([](Recipe& r) { r.uri("spiffe://example.com"); }), "spiffe://example.com"));
  CHECK(has(refusal([](Recipe& r) { r.validity.not_after = noon(); }), "expired"));
  CHECK(has(refusal([](Recipe& r) { r.validity.not_before = noon() + 1h; }), "not yet valid"));
  CHECK(has(refusal([](Recipe& r) { r.name_constraints = "permitted;URI:example.com"; }),
            "permitted subtree"));
}

TEST_CASE("a leaf that the operator gives for a CA is refused") {
  Rig rig;
  TestCa root = TestCa::root();
  Certificate leaf = root.leaf(rig.key, "spiffe://example.org/web");

  CHECK(has(rig.refusal_of_given(rig.key, {leaf, root.certificate}),
            "the first certificate is not a CA's"));
}

TEST_CASE("an intermediate whose ID has a path is refused") {
  Rig rig;
  TestCa root = TestCa::root();
  TestCa middle = root.intermediate("middle", [](Recipe& r) { r.uri("spiffe://example.org/ca"); });

  CHECK(has(rig.refusal_of_given(middle.key, {middle.certificate, root.certificate}),
            "carries spiffe://example.org/ca"));
}

TEST_CASE("a chain that does not reach its root is refused") {
  Rig rig;
  TestCa root = TestCa::root();
  TestCa upper = root.intermediate("upper");
  TestCa lower = upper.intermediate("lower");

  CHECK(has(rig.refusal_of_given(lower.key, {lower.certificate, upper.certificate}),
            "not a self-signed root"));
  CHECK(
      has(rig.refusal_of_given(lower.key, {lower.certificate, root.certificate}), "no valid path"));
  CHECK(has(rig.refusal_of_given(lower.key, {lower.certificate, upper.certificate,
                                             TestCa::root("other").certificate}),
            "no valid path"));
}

TEST_CASE("an intermediate below a CA that allows none is refused") {
  Rig rig;
  TestCa root =
      TestCa::root("root", [](Recipe& r) { r.basic_constraints = "critical,CA:TRUE,pathlen:0"; });
  TestCa middle = root.intermediate("middle");

  CHECK(
      has(rig.refusal_of_given(middle.key, {middle.certificate, root.certificate}), "path length"));
}

}  // namespace nodepilot
