#include "rotation/ca/vault/vault_token.h"

#include <doctest/doctest.h>

#include <future>

#include "test/ca/vault_kit.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::body_of;
using test::FakeVault;
using test::has;
using test::header;
using test::Json;
using test::kAppRole;
using test::kChain;
using test::kRenew;
using test::kSign;
using test::lease;
using test::refusal;
using test::reply;
using test::TestCa;
using test::VaultRig;

// Vault with AppRole: the first login yields s.1, the next s.2, ... Only the newest is accepted.
struct Rig : VaultRig {
  int logins = 0;
  int lease_seconds = 3600;
  bool renewable = true;
  std::string valid;

  Rig() {
    vault.handlers[kAppRole] = [this](const std::string&) {
      valid = "s." + std::to_string(++logins);
      return lease(valid, lease_seconds, renewable);
    };
    vault.handlers[kRenew] = [this](const std::string& request) {
      return is_valid(request) ? lease(valid, lease_seconds) : refusal(403, "permission denied");
    };
    vault.handlers[kSign] = [this](const std::string& request) {
      return is_valid(request) ? signed_by(pki) : refusal(403, "permission denied");
    };
    vault.handlers[kChain] = [this](const std::string&) {
      return reply(Json{{"data", {{"ca_chain", pki.certificate.pem()}}}});
    };
  }
  bool is_valid(const std::string& request) const {
    return header(request, "X-Vault-Token") == valid;
  }
  std::string last_token() const { return header(vault.requests.back(), "X-Vault-Token"); }
};

TEST_CASE("nothing is asked before a token is needed, and one login serves many") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  CHECK(rig.vault.requests.empty());

  REQUIRE(rig.sign(*ca));
  REQUIRE(rig.sign(*ca));

  CHECK(rig.vault.asked() == std::vector<std::string>{kAppRole, kSign, kSign});
  CHECK(body_of(rig.vault.requests[0]) == Json{{"role_id", "node"}, {"secret_id", "secret-id-1"}});
  CHECK(header(rig.vault.requests[0], "X-Vault-Token").empty());
  CHECK(rig.last_token() == "s.1");
}

TEST_CASE("a token is renewed after two thirds of its lease") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));

  rig.now += 39min;
  REQUIRE(rig.sign(*ca));
  CHECK(rig.vault.count(kRenew) == 0);
  rig.now += 1min;
  REQUIRE(rig.sign(*ca));
  CHECK(rig.vault.count(kRenew) == 1);
  rig.now += 39min;
  REQUIRE(rig.sign(*ca));

  CHECK(rig.vault.count(kRenew) == 1);
  CHECK(rig.logins == 1);
}

TEST_CASE("asking for the roots keeps a token alive that nothing else uses") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));

  for (int i = 0; i < 5 * 60; ++i) {
    rig.now += 1min;
    REQUIRE(ca->bundle());
  }
  REQUIRE(rig.sign(*ca));

  CHECK(rig.vault.count(kRenew) == 7);
  CHECK(rig.logins == 1);
}

TEST_CASE("asking for the roots logs nobody in") {
  Rig rig;
  auto ca = rig.open(rig.approle());

  REQUIRE(ca->bundle());

  CHECK(rig.vault.asked() == std::vector<std::string>{kChain});
}

TEST_CASE("a token that cannot be renewed is replaced by a login at the same time") {
  Rig rig;
  rig.renewable = false;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));

  rig.now += 40min;
  REQUIRE(rig.sign(*ca));

  CHECK(rig.vault.count(kRenew) == 0);
  CHECK(rig.last_token() == "s.2");
}

TEST_CASE("a renewal that Vault refuses is followed by a login") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));
  rig.valid = "revoked";

  rig.now += 40min;
  REQUIRE(rig.sign(*ca));

  CHECK(rig.vault.asked() == std::vector<std::string>{kAppRole, kSign, kRenew, kAppRole, kSign});
}

TEST_CASE("renewals that add ever less end in a login") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));

  rig.lease_seconds = 1200;  // as near a token's longest life
  rig.now += 40min;
  REQUIRE(rig.sign(*ca));
  CHECK(rig.logins == 1);
  rig.now += 14min;
  REQUIRE(rig.sign(*ca));

  CHECK(rig.vault.count(kRenew) == 1);
  CHECK(rig.logins == 2);
}

TEST_CASE("a lease that has ended is not renewed") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));

  rig.now += 60min;
  REQUIRE(rig.sign(*ca));

  CHECK(rig.vault.count(kRenew) == 0);
  CHECK(rig.logins == 2);
}

TEST_CASE("a token without a lease lasts") {
  Rig rig;
  rig.lease_seconds = 0;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));

  rig.now += 10h;
  REQUIRE(rig.sign(*ca));

  CHECK(rig.logins == 1);
}

TEST_CASE("a token is used to its end while renewing it fails, and Vault is not pestered") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));
  rig.vault.handlers[kRenew] = [](const std::string&) { return refusal(503, "Vault is sealed"); };

  rig.now += 40min;
  CHECK(rig.sign(*ca));
  rig.now += 1min;
  CHECK(rig.sign(*ca));

  CHECK(rig.vault.count(kRenew) == 1);
  rig.now += 4min;
  CHECK(rig.sign(*ca));
  CHECK(rig.vault.count(kRenew) == 2);
  CHECK(rig.logins == 1);
}

TEST_CASE("a token that worked and is refused is replaced, and the request repeated once") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));
  rig.valid = "revoked";

  REQUIRE(rig.sign(*ca));

  CHECK(rig.vault.asked() == std::vector<std::string>{kAppRole, kSign, kSign, kAppRole, kSign});
  CHECK(rig.last_token() == "s.2");
}

TEST_CASE("a login that lacks the right to sign is not repeated for a minute") {
  Rig rig;
  rig.vault.handlers[kSign] = [](const std::string&) { return refusal(403, "permission denied"); };
  auto ca = rig.open(rig.approle());

  auto refused = rig.sign(*ca);
  CHECK_FALSE(rig.sign(*ca));
  CHECK(rig.logins == 1);
  rig.now += 1min;
  CHECK_FALSE(rig.sign(*ca));

  CHECK(rig.logins == 2);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kPermissionDenied);
  CHECK(refused.error().message ==
        "sign: " + rig.vault.url().str() + "/v1/pki/sign/web: status 403: \"permission denied\"");
}

TEST_CASE("a failed login says how, and never with what") {
  Rig rig;
  rig.vault.handlers[kAppRole] = [](const std::string&) {
    return refusal(400, "invalid role or secret ID: secret-id-1", "Retry-After: 3\r\n");
  };
  auto ca = rig.open(rig.approle());

  auto refused = rig.sign(*ca);

  REQUIRE_FALSE(refused);
  CHECK(refused.error().message ==
        "sign: log in to Vault by approle: " + rig.vault.url().str() +
            "/v1/auth/approle/login: status 400: \"invalid role or secret ID: (secret)\"");
  CHECK(refused.error().retry_after == 3s);
}

TEST_CASE("a login that Vault refuses is not tried again at once") {
  Rig rig;
  auto good = rig.vault.handlers[kAppRole];
  rig.vault.handlers[kAppRole] = [](const std::string&) { return refusal(400, "invalid"); };
  auto ca = rig.open(rig.approle());

  std::string first = rig.refusal_of(*ca);
  CHECK(rig.refusal_of(*ca) == first);
  CHECK(rig.vault.count(kAppRole) == 1);
  rig.vault.handlers[kAppRole] = good;
  rig.now += 5s;

  CHECK(rig.sign(*ca));
}

TEST_CASE("those who need a login at the same time share one") {
  Rig rig;
  std::promise<void> begun;
  std::promise<void> go;
  rig.vault.handlers[kAppRole] = [&](const std::string&) {
    ++rig.logins;
    begun.set_value();
    go.get_future().wait();
    return lease(rig.valid = "s.1", 60);
  };
  auto ca = rig.open(rig.approle());
  auto sign = [&] { return rig.sign(*ca).has_value(); };

  auto first = std::async(std::launch::async, sign);
  begun.get_future().wait();
  auto second = std::async(std::launch::async, sign);
  go.set_value();

  CHECK(first.get());
  CHECK(second.get());
  CHECK(rig.logins == 1);
}

TEST_CASE("a secret ID is read at each login") {
  Rig rig;
  auto ca = rig.open(rig.approle());
  REQUIRE(rig.sign(*ca));
  rig.valid = "revoked";
  rig.write("secret-id", "  secret-id-2 \n");

  REQUIRE(rig.sign(*ca));

  CHECK(body_of(rig.vault.requests[3]).at("secret_id") == "secret-id-2");
}

TEST_CASE("kubernetes logs in with the service account's token, which others may read") {
  Rig rig;
  rig.vault.handlers["POST /v1/auth/k8s/login"] = rig.vault.handlers[kAppRole];
  VaultOptions options = rig.options();
  options.auth = VaultKubernetes{
      .mount = "k8s", .role = "node", .jwt_file = rig.write("jwt", "eyJ.e30.sig", 0644)};
  auto ca = rig.open(options);

  REQUIRE(rig.sign(*ca));

  CHECK(body_of(rig.vault.requests[0]) == Json{{"role", "node"}, {"jwt", "eyJ.e30.sig"}});
}

TEST_CASE("cert shows its certificate on every connection") {
  Rig rig;
  TestCa clients = TestCa::root("clients");
  PrivateKey key = PrivateKey::generate().value();
  auto pem = key.pkcs8_pem();
  FakeVault strict(rig.web, {clients.certificate});
  strict.handlers = rig.vault.handlers;
  strict.handlers["POST /v1/auth/cert/login"] = rig.vault.handlers[kAppRole];
  VaultOptions options = rig.options();
  options.addresses = {strict.url()};
  auto without = rig.open(options);
  options.auth = VaultCertificate{
      .role = "node",
      .certificate_file = rig.write("c.pem", clients.leaf(key, "spiffe://b.org/node").pem()),
      .key_file = rig.write("c.key", std::string(pem.begin(), pem.end()))};
  auto with = rig.open(options);

  CHECK_FALSE(rig.sign(*without));
  auto chain = rig.sign(*with);

  REQUIRE_MESSAGE(chain, chain.error().message);
  CHECK(strict.asked() == std::vector<std::string>{"POST /v1/auth/cert/login", kSign});
  CHECK(body_of(strict.requests[0]) == Json{{"name", "node"}});
}

TEST_CASE("a token file is read for each request") {
  Rig rig;
  rig.valid = "s.file";
  auto ca = rig.open(rig.options());
  REQUIRE(rig.sign(*ca));

  rig.valid = "s.next";
  rig.write("token", "s.next");

  CHECK(rig.sign(*ca));
  CHECK(rig.vault.asked() == std::vector<std::string>{kSign, kSign});
}

TEST_CASE("a refused token of a file is tried again only if the file has changed") {
  Rig rig;
  auto ca = rig.open(rig.options());
  CHECK_FALSE(rig.sign(*ca));
  CHECK(rig.vault.requests.size() == 1);

  rig.vault.handlers[kSign] = [&](const std::string& request) {
    if (header(request, "X-Vault-Token") == "s.next") return rig.signed_by(rig.pki);
    rig.write("token", "s.next");
    return refusal(403, "permission denied");
  };

  CHECK(rig.sign(*ca));
  CHECK(rig.vault.requests.size() == 3);
}

TEST_CASE("a token file that cannot be read leaves the last token in use") {
  Rig rig;
  rig.valid = "s.file";
  auto ca = rig.open(rig.options());
  REQUIRE(rig.sign(*ca));

  rig.write("token", "\n");
  CHECK(rig.sign(*ca));
  std::filesystem::remove(rig.files / "token");
  CHECK(rig.sign(*ca));
}

TEST_CASE("a bad secret file is named, with what mends it") {
  Rig rig;
  VaultOptions options = rig.options();
  auto refusal_with = [&](const std::string& text, mode_t mode) {
    options.auth = VaultTokenFile{rig.write("bad", text, mode)};
    return rig.refusal_of(*rig.open(options));
  };
  std::string file = (rig.files / "bad").string();

  CHECK(has(refusal_with("s.a", 0640), "chmod 0600 " + file));
  CHECK(has(refusal_with("", 0600), file + ": is empty"));
  CHECK(has(refusal_with("s.a s.b", 0600), file + ": must hold one word of printable ASCII"));
  CHECK(has(refusal_with("s.a\"", 0600), "one word of printable ASCII without quotes"));
  CHECK(has(refusal_with(std::string(17000, 'x'), 0600), "larger than 16384 bytes"));
  std::filesystem::remove(rig.files / "bad");
  CHECK(has(rig.refusal_of(*rig.open(options)), file + ": No such file"));
  CHECK(rig.vault.requests.empty());
}

}  // namespace
}  // namespace nodepilot
