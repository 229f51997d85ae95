#include "rotation/ca/istiod/istiod_ca.h"

#include <doctest/doctest.h>

#include "agent/base/clock.h"
#include "rotation/ca/istiod/file_token.h"
#include "rotation/rotator.h"
#include "test/ca/istiod_kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::entry_of;
using test::IstioRequest;
using test::IstioResponse;
using test::refuses_with;
using test::ScriptedIstiod;
using test::signs_with;
using test::TestCa;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A CA with one server, whose answers `answer` gives.
struct Rig {
  explicit Rig(IstiodOptions::AskAs ask_as = IstiodOptions::AskAs::kNodeAgent) {
    options.addresses = {server.address()};
    options.server_name = test::kServerName;
    options.ask_as = ask_as;
    options.timeout = 5s;
    options.token_file = directory.write("token", "the-token-itself\n");
    options.root_file = directory.write("root.pem", root.certificate.pem());
    auto now = [this] { return clock.now(); };
    ca.emplace(TrustDomain::parse("example.org").value(), options,
               std::make_unique<FileToken>(options.token_file, now), now);
  }

  expected<std::vector<Certificate>> sign(const std::string& path = "/ns/shop/sa/web") {
    Entry entry = entry_of(path);
    return ca->sign(Csr::create(key, entry.spiffe_id).value(), entry);
  }
  Error failure() {
    auto chain = sign();
    REQUIRE_FALSE(chain);
    CHECK_FALSE(has(chain.error().message, "the-token-itself"));
    return chain.error();
  }
  expected<IssuedSvid> issue_one(const TrustBundle& bundle) {
    return issue(*ca, entry_of("/ns/shop/sa/web"), bundle, clock);
  }

  TemporaryDirectory directory;
  FakeClock clock{std::chrono::floor<Duration>(std::chrono::system_clock::now())};
  PrivateKey key = PrivateKey::generate().value();
  PrivateKey server_key = PrivateKey::generate().value();
  TestCa root = test::today_root("root");
  TestCa next = test::today_root("next");
  ScriptedIstiod::Answer answer = signs_with(root, {root.certificate});
  ScriptedIstiod server{
      test::server_certificate(root, server_key), server_key,
      [this](const IstioRequest& request, grpc::ServerContext& context, IstioResponse& response) {
        return answer(request, context, response);
      }};
  IstiodOptions options;
  std::optional<IstiodCa> ca;
};

const grpc::Status kUnauthenticated(grpc::StatusCode::UNAUTHENTICATED, "authentication failure");

TEST_CASE("a node agent gets certificates for the identities of others") {
  Rig rig;

  auto issued = rig.issue_one(rig.ca->bundle().value());

  REQUIRE_MESSAGE(issued, issued.error().message);
  CHECK(issued->svid.id().str() == "spiffe://example.org/ns/shop/sa/web");
  CHECK_FALSE(issued->newer_bundle);
  auto call = rig.server.calls().at(0);
  CHECK(call.metadata.at("authorization") == "Bearer the-token-itself");
  CHECK(call.metadata.at("clusterid") == "Kubernetes");
  CHECK(call.request.metadata().fields().at("ImpersonatedIdentity").string_value() ==
        "spiffe://example.org/ns/shop/sa/web");
}

TEST_CASE("who asks for itself impersonates nobody") {
  Rig rig(IstiodOptions::AskAs::kSelf);

  CHECK(rig.sign());

  CHECK_FALSE(rig.server.calls().at(0).request.has_metadata());
}

TEST_CASE("nothing is read or dialled before the first request") {
  Rig rig;
  rig.options.addresses = {"nowhere.invalid:1"};
  rig.options.root_file = rig.directory / "missing.pem";
  rig.options.token_file = rig.directory / "missing";
  auto now = [&] { return rig.clock.now(); };

  IstiodCa ca(TrustDomain::parse("example.org").value(), rig.options,
              std::make_unique<FileToken>(rig.options.token_file, now), now);

  CHECK(ca.name() == std::string("istiod"));
  auto bundle = ca.bundle();
  REQUIRE_FALSE(bundle);
  CHECK(has(bundle.error().message, "istiod: trust bundle: open "));
  CHECK(has(bundle.error().message, "missing.pem: No such file or directory"));
}

TEST_CASE("a rotated token serves the next request") {
  Rig rig;
  REQUIRE(rig.sign());

  rig.directory.write("token", "its-successor");
  REQUIRE(rig.sign());

  CHECK(rig.server.calls().at(1).metadata.at("authorization") == "Bearer its-successor");
}

TEST_CASE("a root rotation with overlap is followed, new roots before the first leaf of them") {
  Rig rig;
  TrustBundle bundle = rig.ca->bundle().value();

  rig.answer = signs_with(rig.next, {rig.root.certificate, rig.next.certificate});
  auto issued = rig.issue_one(bundle);

  REQUIRE_MESSAGE(issued, issued.error().message);
  REQUIRE(issued->newer_bundle);
  CHECK(issued->newer_bundle->roots() == std::vector{rig.root.certificate, rig.next.certificate});
}

TEST_CASE("a certificate that comes with unknown roots is refused") {
  Rig rig;
  rig.answer = signs_with(rig.next, {rig.next.certificate});

  Error error = rig.failure();

  CHECK(error.code == Code::kFailedPrecondition);
  CHECK(has(error.message,
            "istiod: certificate for spiffe://example.org/ns/shop/sa/web: the CA "
            "tells the roots \"CN=next\""));
  CHECK(rig.ca->bundle().value().roots() == std::vector{rig.root.certificate});
}

TEST_CASE("a leaf whose root the CA does not tell is refused by who issues") {
  Rig rig;
  rig.answer = signs_with(rig.next, {rig.root.certificate});

  CHECK_FALSE(rig.issue_one(rig.ca->bundle().value()));
}

TEST_CASE("an answer without certificates is refused") {
  Rig rig;
  rig.answer = refuses_with(grpc::Status::OK);

  Error error = rig.failure();

  CHECK(error.code == Code::kDataLoss);
  CHECK(has(error.message, "the answer's cert_chain: 0 elements"));
}

TEST_CASE("a new root file is seen by the next request") {
  Rig rig;
  rig.directory.write("root.pem", rig.next.certificate.pem());
  CHECK(rig.failure().code == Code::kUnavailable);

  rig.directory.write("root.pem", rig.root.certificate.pem());

  CHECK(rig.sign());
}

TEST_CASE("an early refusal of a node agent may pass and is retried soon") {
  Rig rig;
  rig.answer = refuses_with(kUnauthenticated);

  for (Duration pause : {Duration(0), Duration(15s), Duration(14s)}) {
    rig.clock.advance(pause);
    Error error = rig.failure();
    CHECK(error.code == Code::kUnavailable);
    CHECK(error.retry_after == 500ms);
    CHECK(has(error.message, "UNAUTHENTICATED: \"authentication failure\""));
  }
}

TEST_CASE("a node agent that is refused for long learns what to check") {
  Rig rig;
  rig.answer = refuses_with(kUnauthenticated);
  rig.failure();
  rig.clock.advance(30s);

  Error error = rig.failure();

  CHECK(error.code == Code::kUnauthenticated);
  CHECK_FALSE(error.retry_after);
  for (const char* part :
       {"UNAUTHENTICATED: \"authentication failure\"", "token (expired, or its audience",
        "cluster_id (\"Kubernetes\" is not known", "CA_TRUSTED_NODE_ACCOUNTS",
        "a pod of that namespace and service account runs on this node"}) {
    CHECK_MESSAGE(has(error.message, part), error.message);
  }
}

TEST_CASE("success begins the window of a refusal anew") {
  Rig rig;
  rig.answer = refuses_with(kUnauthenticated);
  rig.failure();
  rig.clock.advance(31s);
  rig.answer = signs_with(rig.root, {rig.root.certificate});
  REQUIRE(rig.sign());

  rig.answer = refuses_with(kUnauthenticated);

  CHECK(rig.failure().code == Code::kUnavailable);
}

TEST_CASE("who asks for itself and is refused learns it at once") {
  Rig rig(IstiodOptions::AskAs::kSelf);
  rig.answer = refuses_with(kUnauthenticated);

  Error error = rig.failure();

  CHECK(error.code == Code::kUnauthenticated);
  CHECK(has(error.message, "; check the token of "));
  CHECK_FALSE(has(error.message, "CA_TRUSTED_NODE_ACCOUNTS"));
}

TEST_CASE("a token that was read before is used until the CA refuses it, not for a race") {
  Rig rig;
  REQUIRE(rig.sign());
  std::filesystem::remove(rig.directory / "token");
  rig.answer = refuses_with(kUnauthenticated);

  CHECK(rig.failure().code == Code::kUnavailable);
  CHECK(rig.server.calls().size() == 2);
  rig.clock.advance(30s);
  CHECK(rig.failure().code == Code::kUnauthenticated);
  CHECK(rig.server.calls().size() == 3);

  Error error = rig.failure();
  CHECK(has(error.message, "token for the CA: open "));
  CHECK(rig.server.calls().size() == 3);
}

TEST_CASE("what only passes by itself keeps its code and the server's hint") {
  Rig rig;
  rig.answer = [](const IstioRequest&, grpc::ServerContext& context, IstioResponse&) {
    context.AddTrailingMetadata("grpc-retry-pushback-ms", "2000");
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "shedding");
  };

  Error error = rig.failure();

  CHECK(error.code == Code::kUnavailable);
  CHECK(error.retry_after == 2s);
  CHECK(error.message == "istiod: certificate for spiffe://example.org/ns/shop/sa/web: " +
                             rig.server.address() + ": UNAVAILABLE: \"shedding\"");
}

}  // namespace
}  // namespace nodepilot
