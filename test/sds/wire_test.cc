// Field numbers and types of the published protocols, on bytes written by hand: a change in our own
// .proto files that other people's clients would not understand fails here.
#include <doctest/doctest.h>

#include <string>

#include "proto/envoy/discovery.pb.h"
#include "proto/envoy/tls.pb.h"
#include "proto/spiffe/workload.pb.h"

namespace nodepilot {
namespace {

namespace discovery = envoy::service::discovery::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;

// A length-delimited field; number and payload are small enough for one byte each.
std::string field(int number, const std::string& payload) {
  return std::string{static_cast<char>(number << 3 | 2), static_cast<char>(payload.size())} +
         payload;
}
std::string varint(int number, char value) { return {static_cast<char>(number << 3), value}; }

template <class Message>
Message parse(const std::string& bytes) {
  Message message;
  REQUIRE(message.ParseFromString(bytes));
  return message;
}

TEST_CASE("X509SVIDResponse has the standard's numbers") {
  const std::string svid = field(1, "spiffe://td/a") + field(2, "chain") + field(3, "key") +
                           field(4, "roots") + field(5, "hint");
  const std::string bytes =
      field(1, svid) + field(2, "crl") + field(3, field(1, "spiffe://o") + field(2, "der"));

  auto message = parse<X509SVIDResponse>(bytes);

  REQUIRE(message.svids_size() == 1);
  CHECK(message.svids(0).spiffe_id() == "spiffe://td/a");
  CHECK(message.svids(0).x509_svid() == "chain");
  CHECK(message.svids(0).x509_svid_key() == "key");
  CHECK(message.svids(0).bundle() == "roots");
  CHECK(message.svids(0).hint() == "hint");
  CHECK(message.crl(0) == "crl");
  CHECK(message.federated_bundles().at("spiffe://o") == "der");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("X509BundlesResponse has the standard's numbers") {
  const std::string bytes = field(1, "crl") + field(2, field(1, "spiffe://o") + field(2, "der"));

  auto message = parse<X509BundlesResponse>(bytes);

  CHECK(message.crl(0) == "crl");
  CHECK(message.bundles().at("spiffe://o") == "der");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("DiscoveryRequest has xDS's numbers") {
  const std::string flag = field(1, "flag") + field(2, varint(4, 1));
  const std::string build = field(1, varint(1, 1) + varint(2, 17) + varint(3, 2));
  const std::string node = field(1, "id") + field(2, "cluster") + field(3, field(1, flag)) +
                           field(6, "envoy") + field(8, build);
  const std::string bytes = field(1, "7") + field(2, node) + field(3, "default") +
                            field(3, "ROOTCA") + field(4, "type") + field(5, "nonce") +
                            field(6, varint(1, 13) + field(2, "bad key"));

  auto message = parse<discovery::DiscoveryRequest>(bytes);

  CHECK(message.version_info() == "7");
  CHECK(message.node().id() == "id");
  CHECK(message.node().cluster() == "cluster");
  CHECK(message.node().metadata().fields().at("flag").bool_value());
  CHECK(message.node().user_agent_name() == "envoy");
  CHECK(message.node().user_agent_build_version().version().major_number() == 1);
  CHECK(message.node().user_agent_build_version().version().minor_number() == 17);
  CHECK(message.node().user_agent_build_version().version().patch() == 2);
  CHECK(message.resource_names(1) == "ROOTCA");
  CHECK(message.type_url() == "type");
  CHECK(message.response_nonce() == "nonce");
  CHECK(message.error_detail().code() == 13);
  CHECK(message.error_detail().message() == "bad key");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("DiscoveryResponse has xDS's numbers") {
  const std::string bytes = field(1, "7") + field(2, field(1, "type") + field(2, "secret")) +
                            field(4, "type") + field(5, "nonce") + field(6, field(1, "us"));

  auto message = parse<discovery::DiscoveryResponse>(bytes);

  CHECK(message.version_info() == "7");
  CHECK(message.resources(0).type_url() == "type");
  CHECK(message.resources(0).value() == "secret");
  CHECK(message.type_url() == "type");
  CHECK(message.nonce() == "nonce");
  CHECK(message.control_plane().identifier() == "us");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("DeltaDiscoveryRequest has xDS's numbers") {
  const std::string bytes = field(1, field(1, "id")) + field(2, "type") + field(3, "default") +
                            field(3, "ROOTCA") + field(4, "old") +
                            field(5, field(1, "name") + field(2, "version")) + field(6, "nonce") +
                            field(7, varint(1, 13) + field(2, "bad key"));

  auto message = parse<discovery::DeltaDiscoveryRequest>(bytes);

  CHECK(message.node().id() == "id");
  CHECK(message.type_url() == "type");
  CHECK(message.resource_names_subscribe(1) == "ROOTCA");
  CHECK(message.resource_names_unsubscribe(0) == "old");
  CHECK(message.initial_resource_versions().at("name") == "version");
  CHECK(message.response_nonce() == "nonce");
  CHECK(message.error_detail().message() == "bad key");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("DeltaDiscoveryResponse has xDS's numbers") {
  const std::string resource =
      field(1, "version") + field(2, field(1, "type") + field(2, "secret")) + field(3, "name");
  const std::string bytes =
      field(1, "7") + field(2, resource) + field(4, "type") + field(5, "nonce") + field(6, "gone");

  auto message = parse<discovery::DeltaDiscoveryResponse>(bytes);

  CHECK(message.system_version_info() == "7");
  REQUIRE(message.resources_size() == 1);
  CHECK(message.resources(0).version() == "version");
  CHECK(message.resources(0).resource().value() == "secret");
  CHECK(message.resources(0).name() == "name");
  CHECK(message.type_url() == "type");
  CHECK(message.nonce() == "nonce");
  CHECK(message.removed_resources(0) == "gone");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("a rule about peers has Envoy's numbers") {
  auto rule = [](int number) { return field(15, varint(1, 3) + field(2, field(number, "a"))); };
  const std::string bytes = field(4, rule(1) + rule(2) + rule(3));

  auto message = parse<tls::Secret>(bytes);

  const auto& rules = message.validation_context().match_typed_subject_alt_names();
  REQUIRE(rules.size() == 3);
  CHECK(rules[0].san_type() == tls::SubjectAltNameMatcher::URI);
  CHECK(rules[0].matcher().exact() == "a");
  CHECK(rules[1].matcher().prefix() == "a");
  CHECK(rules[2].matcher().suffix() == "a");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("a secret with a certificate has Envoy's numbers") {
  const std::string bytes =
      field(1, "default") + field(2, field(1, field(2, "chain")) + field(2, field(2, "key")));

  auto message = parse<tls::Secret>(bytes);

  CHECK(message.name() == "default");
  CHECK(message.tls_certificate().certificate_chain().inline_bytes() == "chain");
  CHECK(message.tls_certificate().private_key().inline_bytes() == "key");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("a secret with roots has Envoy's numbers") {
  const std::string extension = field(1, "name") + field(2, field(1, "type") + field(2, "config"));
  const std::string bytes =
      field(1, "ROOTCA") + field(4, field(1, field(2, "roots")) + field(12, extension));

  auto message = parse<tls::Secret>(bytes);

  CHECK(message.validation_context().trusted_ca().inline_bytes() == "roots");
  CHECK(message.validation_context().custom_validator_config().name() == "name");
  CHECK(message.validation_context().custom_validator_config().typed_config().value() == "config");
  CHECK(message.SerializeAsString() == bytes);
}

TEST_CASE("the SPIFFE validator's configuration has Envoy's numbers and name") {
  const std::string bytes = field(1, field(1, "example.org") + field(2, field(2, "roots")));

  auto message = parse<tls::SPIFFECertValidatorConfig>(bytes);

  CHECK(message.trust_domains(0).name() == "example.org");
  CHECK(message.trust_domains(0).trust_bundle().inline_bytes() == "roots");
  CHECK(message.SerializeAsString() == bytes);
  CHECK(message.GetTypeName() ==
        "envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig");
}

}  // namespace
}  // namespace nodepilot
