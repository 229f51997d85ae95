// The fake istiod must itself be as good as istiod, and as bad as it is told to be: a fake that
// lets everything through would prove nothing.
#include "test/support/fake_istiod/fake_istiod.h"

#include <doctest/doctest.h>
#include <grpcpp/grpcpp.h>

#include <future>

#include "agent/base/sha256.h"
#include "proto/google/retry_info.pb.h"
#include "proto/google/status.pb.h"
#include "rotation/pki/csr.h"
#include "rotation/pki/x509_svid.h"

namespace nodepilot::test {
namespace {

using namespace std::chrono_literals;
using istio::v1::auth::IstioCertificateRequest;
using istio::v1::auth::IstioCertificateResponse;
using istio::v1::auth::IstioCertificateService;

const std::string kNode = "spiffe://td/ns/infra/sa/node";
const std::string kWeb = "spiffe://td/ns/shop/sa/web";
const std::string kToken = "node-token";

Time now() { return std::chrono::floor<Duration>(std::chrono::system_clock::now()); }

// A client without any checks of its own.
struct Client {
  explicit Client(const FakeIstiod& istiod, std::chrono::milliseconds limit = 5s)
      : patience(limit) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = istiod.root();
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride(FakeIstiod::kTlsName);
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    channel = grpc::CreateCustomChannel(istiod.address(), grpc::SslCredentials(tls), arguments);
  }

  grpc::Status ask(const std::string& impersonated = kWeb) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + patience);
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    if (!cluster.empty()) context.AddMetadata("clusterid", cluster);
    IstioCertificateRequest request;
    request.set_csr(csr);
    request.set_validity_duration(life.count());
    if (!impersonated.empty()) {
      (*request.mutable_metadata()->mutable_fields())["ImpersonatedIdentity"].set_string_value(
          impersonated);
    }
    answer.Clear();
    auto status =
        IstioCertificateService::NewStub(channel)->CreateCertificate(&context, request, &answer);
    for (const auto& [name, value] : context.GetServerTrailingMetadata()) {
      trailers[std::string(name.data(), name.size())] = std::string(value.data(), value.size());
    }
    return status;
  }

  // What our own checks say of the answer.
  std::string verdict(const std::string& id = kWeb) const {
    std::vector<Certificate> chain;
    for (int place = 0; place + 1 < answer.cert_chain_size(); ++place) {
      auto certificates = Certificate::parse_pem(answer.cert_chain(place));
      if (!certificates) return certificates.error().message;
      chain.insert(chain.end(), certificates->begin(), certificates->end());
    }
    if (chain.empty()) return "nothing";
    auto roots = Certificate::parse_pem(answer.cert_chain(answer.cert_chain_size() - 1));
    if (!roots) return roots.error().message;
    auto bundle = TrustBundle::create(TrustDomain::parse("td").value(), *roots).value();
    auto svid = X509Svid::verified(key, chain, bundle, {SpiffeId::parse(id).value(), {}, now()});
    return svid ? "good" : svid.error().message;
  }

  std::shared_ptr<grpc::Channel> channel;
  PrivateKey key = PrivateKey::generate().value();
  std::string csr = Csr::create(key, SpiffeId::parse(kWeb).value())->pem();
  std::string token = kToken;
  std::string cluster = "Kubernetes";
  std::chrono::seconds life{600};
  std::chrono::milliseconds patience;
  IstioCertificateResponse answer;
  std::map<std::string, std::string> trailers;
};

struct Stage {
  Stage() { istiod.trust(kToken, kNode, true); }
  FakeIstiod istiod;
  Client client{istiod};
};

}  // namespace

TEST_CASE("a node's agent gets what istiod would give for another's identity") {
  Stage stage;

  REQUIRE(stage.client.ask().ok());

  CHECK(stage.client.verdict() == "good");
  REQUIRE(stage.client.answer.cert_chain_size() == 3);
  CHECK(stage.client.answer.cert_chain(2) == stage.istiod.root());
  Certificate leaf = Certificate::parse_pem(stage.client.answer.cert_chain(0)).value().front();
  CHECK(leaf.serial().size() == 32);
  CHECK(leaf.subject().empty());
  CHECK(leaf.uri_sans() == std::vector{kWeb});
  CHECK(leaf.validity().lifetime() == 12min);
  CHECK(leaf.validity().not_before <= now() - 2min);
}

TEST_CASE("without impersonation the token's own identity is granted") {
  Stage stage;
  stage.istiod.trust("web-token", kWeb, false);
  stage.client.token = "web-token";

  REQUIRE(stage.client.ask("").ok());

  CHECK(stage.client.verdict() == "good");
}

TEST_CASE("who may not ask is UNAUTHENTICATED, without a reason") {
  Stage stage;
  stage.istiod.trust("web-token", kWeb, false);
  std::string asked = kWeb;
  SUBCASE("no token") { stage.client.token.clear(); }
  SUBCASE("another token") { stage.client.token = "guess"; }
  SUBCASE("a token that has expired") { stage.istiod.distrust(kToken); }
  SUBCASE("no node") { stage.client.token = "web-token"; }
  SUBCASE("no cluster") { stage.client.cluster.clear(); }
  SUBCASE("another cluster") { stage.client.cluster = "other"; }
  SUBCASE("no service account") { asked = "spiffe://td/web"; }
  SUBCASE("more than a service account") { asked = kWeb + "/x"; }

  auto status = stage.client.ask(asked);

  CHECK(status.error_code() == grpc::StatusCode::UNAUTHENTICATED);
  CHECK(status.error_message() == "request authenticate failure");
  CHECK(stage.istiod.counts().signed_for.empty());
}

TEST_CASE("a CSR without sense and a life without end are INVALID_ARGUMENT") {
  Stage stage;
  SUBCASE("no CSR") { stage.client.csr = "x"; }
  SUBCASE("91 days") { stage.client.life = 24h * 91; }

  CHECK(stage.client.ask().error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("faults of a call") {
  Stage stage;
  auto& [istiod, client] = stage;

  istiod.set(Fault::kReject);
  CHECK(client.ask().error_code() == grpc::StatusCode::UNAVAILABLE);

  istiod.set(Fault::kUnauthenticated, 50ms);
  CHECK(client.ask().error_code() == grpc::StatusCode::UNAUTHENTICATED);
  istiod.set(Fault::kUnauthenticated, 1ms, "spiffe://td/ns/shop/sa/other");
  CHECK(client.ask().ok());

  client.patience = 100ms;
  istiod.set(Fault::kHang);
  CHECK(client.ask().error_code() == grpc::StatusCode::DEADLINE_EXCEEDED);
  istiod.set(Fault::kSlow, 20ms);
  CHECK(client.ask().ok());
}

TEST_CASE("an exhausted CA says in two ways when to come again") {
  Stage stage;
  stage.istiod.set(Fault::kExhausted, 1500ms);

  auto status = stage.client.ask();

  CHECK(status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(stage.client.trailers["grpc-retry-pushback-ms"] == "1500");
  google::rpc::Status details;
  google::rpc::RetryInfo again;
  REQUIRE(details.ParseFromString(status.error_details()));
  REQUIRE(details.details_size() == 1);
  REQUIRE(details.details(0).UnpackTo(&again));
  CHECK(again.retry_delay().seconds() == 1);
  CHECK(again.retry_delay().nanos() == 500000000);
}

TEST_CASE("every fault of a leaf or an answer makes it unfit, but for those that do no harm") {
  Stage stage;
  const std::set<Fault> harmless = {Fault::kOtherOrder, Fault::kDuplicates, Fault::kRootInChain,
                                    Fault::kTwoRoots,   Fault::kLife,       Fault::kUnknownRoot};

  for (auto fault = Fault::kOtherKey; fault <= Fault::kNoRoots;
       fault = static_cast<Fault>(static_cast<int>(fault) + 1)) {
    CAPTURE(to_string(fault));
    stage.istiod.set(fault, fault == Fault::kNotYetValid ? 2min : 1min);
    REQUIRE(stage.client.ask().ok());
    CHECK((stage.client.verdict() == "good") == harmless.contains(fault));
  }
}

TEST_CASE("faults of the transport end with it, on the same port") {
  Stage stage;

  for (auto fault = Fault::kDown; fault <= Fault::kWeakTlsKey;
       fault = static_cast<Fault>(static_cast<int>(fault) + 1)) {
    CAPTURE(to_string(fault));
    stage.istiod.set(fault);
    CHECK(!Client(stage.istiod, 100ms).ask().ok());
  }
  CHECK(stage.istiod.heard().connections >= 8);
  CHECK(stage.istiod.heard().handshakes >= 1);
  CHECK(stage.istiod.counts().calls == 0);

  stage.istiod.recover();
  CHECK(Client(stage.istiod).ask().ok());
}

TEST_CASE("calls, those at a time and tokens are counted") {
  Stage stage;
  stage.istiod.set(Fault::kSlow, 100ms);

  auto other = std::async(std::launch::async, [&] { return Client(stage.istiod).ask().ok(); });
  CHECK(stage.client.ask().ok());
  CHECK(other.get());
  stage.istiod.recover();
  CHECK(stage.client.ask().ok());

  auto counts = stage.istiod.counts();
  CHECK(counts.calls == 3);
  CHECK(counts.in_flight == 0);
  CHECK(counts.most_in_flight == 2);
  CHECK(counts.most_per_second == 3);
  CHECK(counts.signed_for == std::map<std::string, std::size_t>{{kWeb, 3}});
  CHECK(counts.tokens == std::map<std::string, std::size_t>{{sha256_hex(kToken), 3}});
}

TEST_CASE("every fault has a name that leads back to it") {
  CHECK(to_string(Fault::kNone) == "none");
  CHECK(to_string(Fault::kNoRoots) == "no-roots");
  CHECK(parse_fault("not-yet-valid") == Fault::kNotYetValid);
  CHECK(!parse_fault("Down"));
}

}  // namespace nodepilot::test
