#include "agent/mesh/bootstrap.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "test/mesh/kit.h"

namespace nodepilot::mesh {
namespace {

Workload web() {
  return {.name = "web",
          .name_space = "shop",
          .labels = {{"app", "web"}},
          .identity = *SpiffeId::parse("spiffe://example.org/ns/shop/sa/web"),
          .admin = SocketAddress{"127.0.0.1", 15000},
          .ports = {{.port = 8080, .app = {"127.0.0.1", 18080}, .protocol = Protocol::kHttp}}};
}

nlohmann::json rendered(const Surroundings& surroundings) {
  Policy policy{PolicySet("istio-system", {}), {}};
  auto resources = render(surroundings, policy, "istio-system", web());
  REQUIRE(resources);
  auto text = to_json(bootstrap(surroundings, web(), *std::move(resources)));
  REQUIRE(text);
  return nlohmann::json::parse(*text);
}

TEST_CASE("a bootstrap names the agent's socket, speaks HTTP/2 to it and has its admin address") {
  auto json = rendered(testing::surroundings());

  auto agent = json["static_resources"]["clusters"][0];
  CHECK(agent["name"] == "nodepilot");
  CHECK(agent["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["pipe"]
             ["path"] == "/run/nodepilot/public/api.sock");
  auto options = agent["typed_extension_protocol_options"]
                      ["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"];
  CHECK(options["explicit_http_config"].contains("http2_protocol_options"));
  CHECK(json["admin"]["address"]["socket_address"]["port_value"] == 15000);
  CHECK(json["node"]["id"] == "web");
}

TEST_CASE("secrets are waited for rather than done without") {
  auto json = rendered(testing::surroundings());

  auto chain = json["static_resources"]["listeners"][0]["filter_chains"][0];
  auto secret = chain["transport_socket"]["typed_config"]["common_tls_context"]
                     ["tls_certificate_sds_secret_configs"][0];
  CHECK(secret["name"] == "default");
  CHECK(secret["sds_config"]["initial_fetch_timeout"] == "0s");
  CHECK(secret["sds_config"]["api_config_source"]["api_type"] == "GRPC");
}

TEST_CASE("with an alias roots come as a plain list, for the validator knows one name of them") {
  CHECK_FALSE(rendered(testing::surroundings())["node"].contains("metadata"));
  CHECK(rendered(testing::surroundings(
            {"old.example"}))["node"]["metadata"]["disable_spiffe_cert_validation"] == true);
}

TEST_CASE("without a policy a port is permissive") {
  auto json = rendered(testing::surroundings());

  CHECK(json["static_resources"]["listeners"][0]["filter_chains"].size() == 2);
}

}  // namespace
}  // namespace nodepilot::mesh
