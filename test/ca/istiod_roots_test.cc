#include "rotation/ca/istiod/istiod_roots.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "test/pki/test_ca.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using test::noon;
using test::TestCa;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Rig {
  std::filesystem::path file(const std::vector<Certificate>& roots,
                             const std::string& name = "root-cert.pem") const {
    return directory.write(name, concatenated_pem(roots));
  }
  IstiodRoots roots_of(const std::vector<Certificate>& roots) const {
    return {domain, file(roots), std::nullopt, noon};
  }

  TemporaryDirectory directory;
  TrustDomain domain = TrustDomain::parse("example.org").value();
  Certificate a = TestCa::root("a").certificate;
  Certificate b = TestCa::root("b").certificate;
  Certificate c = TestCa::root("c").certificate;
};

using Roots = std::vector<Certificate>;

TEST_CASE("before the CA has told anything the bundle is the operator's file") {
  Rig rig;
  IstiodRoots roots = rig.roots_of({rig.a, rig.b});

  CHECK(roots.bundle().value().roots() == Roots{rig.a, rig.b});
  CHECK(roots.server_roots().value()->certificates == Roots{rig.a, rig.b});
}

TEST_CASE("roots that are told count if one of them is believed already") {
  Rig rig;
  IstiodRoots roots = rig.roots_of({rig.a});

  CHECK(roots.accept({rig.b, rig.a}));

  CHECK(roots.bundle().value().roots() == Roots{rig.a, rig.b});
  CHECK(roots.server_roots().value()->certificates == Roots{rig.a});
}

TEST_CASE("roots of which none is believed are refused, and what was believed stays") {
  Rig rig;
  IstiodRoots roots = rig.roots_of({rig.a});

  auto refused = roots.accept({rig.b, rig.c});

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kFailedPrecondition);
  CHECK(has(refused.error().message, "\"CN=b\" (sha256 "));
  CHECK(has(refused.error().message, "\"CN=c\" (sha256 "));
  CHECK(has(refused.error().message, "none of which is believed"));
  CHECK(has(refused.error().message, "root-cert.pem are \"CN=a\""));
  CHECK(roots.bundle().value().roots() == Roots{rig.a});
}

TEST_CASE("a rotation with overlap is followed to its end, and each told list replaces the last") {
  Rig rig;
  IstiodRoots roots = rig.roots_of({rig.a});

  CHECK(roots.accept({rig.a, rig.b}));
  CHECK(roots.accept({rig.b}));
  CHECK(roots.accept({rig.b, rig.c}));
  CHECK(roots.accept({rig.c}));

  CHECK(roots.bundle().value().roots() == Roots{rig.a, rig.c});
  CHECK_FALSE(roots.accept({rig.b}));  // long replaced
  CHECK(roots.accept({rig.a}));        // still in the file
}

TEST_CASE("a root renewed with its key continues the old one") {
  Rig rig;
  TestCa ca = TestCa::root("kept");
  test::Recipe recipe = test::ca_recipe("kept");
  Certificate renewed =
      Certificate::parse_der(test::make_der(recipe, ca.key.evp(), ca.key.evp(), nullptr)).value();
  IstiodRoots roots = rig.roots_of({ca.certificate});
  REQUIRE(renewed != ca.certificate);

  CHECK(roots.accept({renewed}));

  CHECK(roots.bundle().value().roots() == Roots{ca.certificate, renewed});
}

TEST_CASE("a namesake with another key continues nothing") {
  Rig rig;
  IstiodRoots roots = rig.roots_of({rig.a});

  CHECK_FALSE(roots.accept({TestCa::root("a").certificate}));
}

TEST_CASE("what is no root is never accepted, beside a good one neither") {
  Rig rig;
  TestCa ca = TestCa::root();
  Certificate leaf = ca.leaf(PrivateKey::generate().value(), "spiffe://example.org/web");
  IstiodRoots roots = rig.roots_of({rig.a});

  auto refused = roots.accept({rig.a, leaf});

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kInvalidArgument);
  CHECK(has(refused.error().message, "not a CA certificate"));
  CHECK_FALSE(roots.accept({}));
  CHECK(roots.bundle().value().roots() == Roots{rig.a});
}

TEST_CASE("the file is read again when it changes") {
  Rig rig;
  IstiodRoots roots = rig.roots_of({rig.a});
  auto before = roots.server_roots().value();
  CHECK(roots.server_roots().value() == before);

  rig.file({rig.a, rig.b});

  CHECK(roots.server_roots().value() != before);
  CHECK(roots.server_roots().value()->pem == rig.a.pem() + rig.b.pem());
  CHECK(roots.bundle().value().roots() == Roots{rig.a, rig.b});
  CHECK(roots.accept({rig.b}));
}

TEST_CASE("a file that is gone, empty or corrupt leaves the roots read before") {
  Rig rig;
  IstiodRoots roots = rig.roots_of({rig.a});
  REQUIRE(roots.bundle());

  for (const std::string& text : {std::string(), std::string("garbage"),
                                  rig.b.pem() + "-----BEGIN CERTIFICATE-----\nAAAA\n"}) {
    rig.directory.write("root-cert.pem", text);
    CHECK(roots.bundle().value().roots() == Roots{rig.a});
  }
  std::filesystem::remove(rig.directory / "root-cert.pem");
  CHECK(roots.bundle().value().roots() == Roots{rig.a});
  CHECK(roots.server_roots().value()->certificates == Roots{rig.a});
}

TEST_CASE("a file that never held roots is an error that names it, until it does") {
  Rig rig;
  IstiodRoots roots(rig.domain, rig.directory / "late.pem", std::nullopt, noon);

  auto missing = roots.bundle();
  REQUIRE_FALSE(missing);
  CHECK(has(missing.error().message, "late.pem: No such file"));
  CHECK_FALSE(roots.server_roots());
  CHECK_FALSE(roots.accept({rig.a}));

  rig.file({rig.a}, "late.pem");
  CHECK(roots.bundle().value().roots() == Roots{rig.a});
}

TEST_CASE("a file that shows through links is followed to where they lead now") {
  Rig rig;
  rig.file({rig.a}, "..1/root-cert.pem");
  rig.file({rig.b}, "..2/root-cert.pem");
  std::filesystem::create_symlink("..1", rig.directory / "..data");
  std::filesystem::create_symlink("..data/root-cert.pem", rig.directory / "root-cert.pem");
  IstiodRoots roots(rig.domain, rig.directory / "root-cert.pem", std::nullopt, noon);
  CHECK(roots.bundle().value().roots() == Roots{rig.a});

  std::filesystem::create_symlink("..2", rig.directory / "..new");
  std::filesystem::rename(rig.directory / "..new", rig.directory / "..data");

  CHECK(roots.bundle().value().roots() == Roots{rig.b});
}

TEST_CASE("with a bundle file of its own the server's roots prove no certificates") {
  Rig rig;
  IstiodRoots roots(rig.domain, rig.file({rig.a}), rig.file({rig.b}, "bundle.pem"), noon);

  CHECK(roots.server_roots().value()->certificates == Roots{rig.a});
  CHECK(roots.bundle().value().roots() == Roots{rig.b});
  auto refused = roots.accept({rig.a});
  REQUIRE_FALSE(refused);
  CHECK(has(refused.error().message, "bundle.pem are \"CN=b\""));
  CHECK(roots.accept({rig.b, rig.c}));
}

TEST_CASE("the operating system's roots serve to verify the server") {
  Rig rig;
  IstiodRoots roots(rig.domain, std::nullopt, rig.file({rig.a}), noon);

  auto system = roots.server_roots();

  REQUIRE_MESSAGE(system, system.error().message);  // ca-certificates is installed
  CHECK(system.value()->certificates.size() > 10);
  CHECK(roots.bundle().value().roots() == Roots{rig.a});
}

}  // namespace
}  // namespace nodepilot
