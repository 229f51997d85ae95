#include "sds/jwt_calls.h"

#include <doctest/doctest.h>

#include "proto/spiffe/workload.pb.h"
#include "test/sds/kit.h"

namespace nodepilot {
namespace {

using testing::make_entry;
using testing::Rig;
using testing::TestCa;
using testing::TestCall;
using namespace std::chrono_literals;

constexpr const char* kFetchPath = "/SpiffeWorkloadAPI/FetchJWTSVID";
constexpr const char* kValidatePath = "/SpiffeWorkloadAPI/ValidateJWTSVID";
constexpr const char* kBundlesPath = "/SpiffeWorkloadAPI/FetchJWTBundles";
const Metadata kHeader{{{"workload.spiffe.io", "true"}}};

std::unique_ptr<TestCall> call(const Rig& rig, const char* path,
                               const google::protobuf::MessageLite& request) {
  auto call = rig.call(workload_api_methods(rig.context), path, kHeader);
  call->write(request);
  return call;
}

JWTSVIDRequest fetch_request(const std::vector<std::string>& audience,
                             const std::string& spiffe_id = "") {
  JWTSVIDRequest request;
  for (const std::string& value : audience) request.add_audience(value);
  request.set_spiffe_id(spiffe_id);
  return request;
}

std::unique_ptr<TestCall> fetch(const Rig& rig, const std::vector<std::string>& audience,
                                const std::string& spiffe_id = "") {
  return call(rig, kFetchPath, fetch_request(audience, spiffe_id));
}

std::unique_ptr<TestCall> validate(const Rig& rig, const std::string& audience,
                                   const std::string& token) {
  ValidateJWTSVIDRequest request;
  request.set_audience(audience);
  request.set_svid(token);
  return call(rig, kValidatePath, request);
}

std::string fetch_token(const Rig& rig, const std::string& audience) {
  return fetch(rig, {audience})->read<JWTSVIDResponse>().svids(0).svid();
}

// A trust domain of its own, with a key that signs for it.
struct Partner {
  explicit Partner(const Clock& clock) : ca("partner.example", clock.now()), signer(clock) {}

  BundlePtr bundle() const { return ca.bundle({signer.authority()}); }
  std::string token(const std::string& audience) {
    auto id = SpiffeId::parse("spiffe://partner.example/api").value();
    return signer.sign_jwt(id, {audience}, 60s).value().token;
  }

  TestCa ca;
  FakeJwtSigner signer;
};

Entry federated_entry() {
  Entry entry = make_entry("web");
  entry.federates_with = {TrustDomain::parse("partner.example").value()};
  return entry;
}

TEST_CASE("a caller gets a token for each of its identities, in entry order") {
  Rig rig({make_entry("web", "a"), make_entry("db", "b")});

  auto fetched = fetch(rig, {"one", "two"});

  REQUIRE(fetched->has_message());
  CHECK(fetched->message().secret);
  CHECK(fetched->code() == Code::kOk);
  auto reply = fetched->read<JWTSVIDResponse>();
  REQUIRE(reply.svids_size() == 2);
  CHECK(reply.svids(0).spiffe_id() == "spiffe://example.org/web");
  CHECK(reply.svids(0).hint() == "a");
  CHECK(reply.svids(1).spiffe_id() == "spiffe://example.org/db");
  CHECK(reply.svids(1).hint() == "b");
}

TEST_CASE("a token is for every audience that was asked for") {
  Rig rig({make_entry("web")});

  std::string token = fetch(rig, {"one", "two"})->read<JWTSVIDResponse>().svids(0).svid();

  CHECK(validate(rig, "one", token)->code() == Code::kOk);
  CHECK(validate(rig, "two", token)->code() == Code::kOk);
  CHECK(validate(rig, "three", token)->code() == Code::kInvalidArgument);
}

TEST_CASE("of equal hints only the first is told") {
  Rig rig({make_entry("web", "same"), make_entry("db", "same")});

  auto reply = fetch(rig, {"one"})->read<JWTSVIDResponse>();

  CHECK(reply.svids(0).hint() == "same");
  CHECK(reply.svids(1).hint().empty());
}

TEST_CASE("a named identity is the only one in the answer") {
  Rig rig({make_entry("web"), make_entry("db")});

  auto reply = fetch(rig, {"one"}, "spiffe://example.org/db")->read<JWTSVIDResponse>();

  REQUIRE(reply.svids_size() == 1);
  CHECK(reply.svids(0).spiffe_id() == "spiffe://example.org/db");
}

TEST_CASE("nobody gets a token for an identity that is not theirs") {
  Entry other = make_entry("other");
  other.match = {{"unix", "uid:7"}};
  Rig rig({make_entry("web"), other});

  auto named = fetch(rig, {"one"}, "spiffe://example.org/other");
  rig.attestor.answer = Selectors{{"unix", "uid:9"}};
  auto stranger = fetch(rig, {"one"});

  CHECK(named->code() == Code::kPermissionDenied);
  CHECK(named->status()->message == "no identity issued (ref 7f3a91)");
  CHECK(stranger->code() == Code::kPermissionDenied);
  CHECK(stranger->status()->message == "no identity issued (ref 7f3a92)");
  CHECK(rig.jwt_signer.signs() == 0);
}

TEST_CASE("requests without an audience or with a broken ID are refused before attestation") {
  Rig rig({make_entry("web")});

  CHECK(fetch(rig, {})->status()->message == "audience must be specified");
  CHECK(fetch(rig, {"one", ""})->status()->message == "audience must not hold an empty value");
  auto broken = fetch(rig, {"one"}, "spiffe://EXAMPLE.org/web");
  CHECK(broken->status()->message.starts_with("invalid requested SPIFFE ID: "));
  CHECK(broken->code() == Code::kInvalidArgument);

  CHECK(rig.attestor.asked == 0);
}

TEST_CASE("an identity whose token cannot be signed does not keep the others back") {
  Rig rig({make_entry("web"), make_entry("db")});
  rig.jwt_signer.refuse("spiffe://example.org/web");

  auto all = fetch(rig, {"one"});
  auto named = fetch(rig, {"one"}, "spiffe://example.org/web");

  auto reply = all->read<JWTSVIDResponse>();
  REQUIRE(reply.svids_size() == 1);
  CHECK(reply.svids(0).spiffe_id() == "spiffe://example.org/db");
  CHECK(named->code() == Code::kUnavailable);
  CHECK(named->status()->message == "could not fetch JWT-SVID: fake JWT signer: told to refuse");
}

TEST_CASE("fetching tokens demands no certificate") {
  Rig rig({make_entry("web")});

  fetch(rig, {"one"});

  CHECK_FALSE(rig.store.is_wanted("web"));
}

TEST_CASE("an agent whose CA signs no tokens says so") {
  Rig rig({make_entry("web")});
  rig.context.jwt_svids = nullptr;

  CHECK(fetch(rig, {"one"})->code() == Code::kUnimplemented);
}

TEST_CASE("a client that hangs up while its token is signed is forgotten") {
  Rig rig({make_entry("web")});
  auto methods = workload_api_methods(rig.context);
  auto waiting = rig.call(methods, kFetchPath, kHeader);
  rig.workers.hold();
  waiting->write(fetch_request({"one"}));
  rig.workers.run_one();

  waiting->hang_up();
  rig.workers.release();

  CHECK(waiting->sends() == 0);
}

TEST_CASE("validation returns the subject and every claim, the audience as a list") {
  Rig rig({make_entry("web")});

  auto reply = validate(rig, "db", fetch_token(rig, "db"))->read<ValidateJWTSVIDResponse>();

  CHECK(reply.spiffe_id() == "spiffe://example.org/web");
  const auto& claims = reply.claims().fields();
  CHECK(claims.at("sub").string_value() == "spiffe://example.org/web");
  REQUIRE(claims.at("aud").list_value().values_size() == 1);
  CHECK(claims.at("aud").list_value().values(0).string_value() == "db");
  CHECK(claims.at("exp").number_value() > 0);
}

TEST_CASE("a broken, foreign or ended token is INVALID_ARGUMENT") {
  Rig rig({make_entry("web")});
  std::string token = fetch_token(rig, "db");
  rig.jwt_signer.change_key();
  std::string unknown_key =
      rig.jwt_signer.sign_jwt(make_entry("web").spiffe_id, {"db"}, 60s).value().token;

  CHECK(validate(rig, "db", "x.y.z")->code() == Code::kInvalidArgument);
  CHECK(validate(rig, "other", token)->code() == Code::kInvalidArgument);
  CHECK(validate(rig, "db", unknown_key)->code() == Code::kInvalidArgument);
  CHECK(validate(rig, "db", token)->code() == Code::kOk);
  rig.clock.advance(make_entry("web").jwt_ttl + 31s);

  CHECK(validate(rig, "db", token)->code() == Code::kInvalidArgument);
}

TEST_CASE("validation wants an audience and a token") {
  Rig rig({make_entry("web")});

  CHECK(validate(rig, "", "x")->status()->message == "audience must be specified");
  CHECK(validate(rig, "db", "")->status()->message == "svid must be specified");
}

TEST_CASE("who has no identity may still have a token checked") {
  Rig rig({make_entry("web")});
  std::string token = fetch_token(rig, "db");
  rig.attestor.answer = Selectors{{"unix", "uid:9"}};

  CHECK(validate(rig, "db", token)->code() == Code::kOk);
}

TEST_CASE("a federated token counts only for those who federate") {
  Rig rig({federated_entry()});
  Partner partner(rig.clock);
  std::string token = partner.token("db");

  CHECK(validate(rig, "db", token)->code() == Code::kInvalidArgument);
  rig.store.set_federated(partner.bundle()->trust_domain(), partner.bundle());
  CHECK(validate(rig, "db", token)->code() == Code::kOk);
  rig.attestor.answer = Selectors{{"unix", "uid:9"}};

  CHECK(validate(rig, "db", token)->code() == Code::kInvalidArgument);
}

TEST_CASE("JWT bundles hold our own keys and those of federated trust domains") {
  Rig rig({federated_entry()});
  Partner partner(rig.clock);
  rig.store.set_federated(partner.bundle()->trust_domain(), partner.bundle());

  auto stream = call(rig, kBundlesPath, JWTBundlesRequest());

  auto bundles = stream->read<JWTBundlesResponse>().bundles();
  REQUIRE(bundles.size() == 2);
  const std::string& own = bundles.at("spiffe://example.org");
  CHECK(own.find(rig.jwt_signer.authority().key_id()) != std::string::npos);
  CHECK(own.find("x5c") == std::string::npos);
  CHECK(bundles.at("spiffe://partner.example").find(partner.signer.authority().key_id()) !=
        std::string::npos);
}

TEST_CASE("a new root is no news for JWT bundles, nor a new JWT key for X.509 streams") {
  Rig rig({make_entry("web")});
  rig.install("web");
  auto jwt = call(rig, kBundlesPath, JWTBundlesRequest());
  auto x509 = call(rig, "/SpiffeWorkloadAPI/FetchX509SVID", X509SVIDRequest());
  jwt->read<JWTBundlesResponse>();
  x509->read<X509SVIDResponse>();
  auto key = JwtSigningKey::generate().value();

  rig.store.set_bundle(rig.ca.bundle({rig.jwt_signer.authority(), key.authority()}));
  CHECK(jwt->sends() == 2);
  CHECK(x509->sends() == 1);
  TestCa next("example.org", rig.clock.now());
  auto roots = rig.ca.bundle_with(next)->roots();
  rig.store.set_bundle(std::make_shared<const TrustBundle>(
      TrustBundle::create(TrustDomain::parse("example.org").value(), roots,
                          {rig.jwt_signer.authority(), key.authority()})
          .value()));

  CHECK(jwt->sends() == 2);
  CHECK(x509->sends() == 2);
}

TEST_CASE("a revoked federated trust domain disappears from bundle messages") {
  Rig rig({federated_entry()});
  Partner partner(rig.clock);
  rig.store.set_federated(partner.bundle()->trust_domain(), partner.bundle());
  auto jwt = call(rig, kBundlesPath, JWTBundlesRequest());
  auto x509 = call(rig, "/SpiffeWorkloadAPI/FetchX509Bundles", X509BundlesRequest());
  CHECK(jwt->read<JWTBundlesResponse>().bundles_size() == 2);
  CHECK(x509->read<X509BundlesResponse>().bundles_size() == 2);

  rig.store.set_federated(partner.bundle()->trust_domain(),
                          std::make_shared<const TrustBundle>(TrustBundle::foreign(
                              TrustDomain::parse("partner.example").value(), {}, {})));

  CHECK(jwt->read<JWTBundlesResponse>().bundles_size() == 1);
  CHECK(x509->read<X509BundlesResponse>().bundles_size() == 1);
}

}  // namespace
}  // namespace nodepilot
