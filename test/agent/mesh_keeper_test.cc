#include "agent/mesh_keeper.h"

#include <doctest/doctest.h>

#include <fstream>

#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

struct Rig {
  Rig() {
    auto parsed = parse_config(
        "trust_domain: example.org\n"
        "identities: [ { id: /web, match: [ \"unix:uid:1\" ] } ]\n"
        "mesh:\n  policy: " +
            directory.path().string() +
            "\n  workloads: [ { name: web, namespace: shop, identity: /web, ports: [ { port: 8080, "
            "app: \"127.0.0.1:81\" } ] } ]\n",
        "a.yaml");
    REQUIRE(parsed);
    config.emplace(*std::move(parsed));
  }

  void write(const std::string& mode) {
    std::ofstream(directory.path() / "p.yaml")
        << "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
           "metadata: { name: a, namespace: shop }\nspec: { mtls: { mode: " +
               mode + " } }\n";
  }

  std::string version() const {
    const auto* found = keeper->find("web");
    return found == nullptr ? "" : found->listeners->version;
  }

  void start() {
    keeper.emplace(clock, workers, *config, 2s);
    watch = keeper->on_change([this] { ++changes; });
    keeper->start();
  }

  TemporaryDirectory directory;
  std::optional<Config> config;
  FakeClock clock;
  InlineWorkers workers;
  int changes = 0;
  std::optional<MeshKeeper> keeper;
  std::shared_ptr<void> watch;
};

TEST_CASE("a change of policy is in force at the next look, and told once") {
  Rig rig;
  rig.write("PERMISSIVE");
  rig.start();
  std::string permissive = rig.version();
  CHECK_FALSE(permissive.empty());
  CHECK(rig.changes == 1);

  rig.clock.advance(2s);
  CHECK(rig.changes == 1);
  rig.write("STRICT");
  rig.clock.advance(2s);
  CHECK(rig.changes == 2);
  CHECK(rig.version() != permissive);

  rig.write("PERMISSIVE");
  rig.clock.advance(2s);
  CHECK(rig.version() == permissive);
}

TEST_CASE("a policy that is wrong leaves the last good one in force and says why") {
  Rig rig;
  rig.write("STRICT");
  rig.start();
  std::string strict = rig.version();

  rig.write("STRIKT");
  rig.clock.advance(2s);
  CHECK(rig.version() == strict);
  CHECK(rig.changes == 1);
  CHECK(rig.keeper->failure().find("p.yaml:4:23: spec.mtls.mode: must be") != std::string::npos);

  rig.write("STRICT");
  rig.clock.advance(2s);
  CHECK(rig.keeper->failure().empty());
  CHECK(rig.changes == 1);
}

TEST_CASE("before there was a good policy nothing is served") {
  Rig rig;
  rig.write("STRIKT");
  rig.start();
  CHECK(rig.version().empty());

  rig.write("STRICT");
  rig.clock.advance(2s);
  CHECK_FALSE(rig.version().empty());
}

TEST_CASE("a reading that comes back after the end, and a listener that has gone, are no matter") {
  Rig rig;
  rig.write("STRICT");
  rig.workers.hold();
  rig.start();
  rig.watch.reset();
  CHECK(rig.workers.run_one());
  CHECK(rig.changes == 0);

  rig.clock.advance(2s);
  rig.keeper.reset();
  CHECK(rig.workers.run_one());
}

}  // namespace
}  // namespace nodepilot
