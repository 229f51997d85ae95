// A node with two workloads of a mesh, `web` and `pay`, for tests of what their Envoys are served.
// The caller has the identities that the rig is made with.
#pragma once

#include <doctest/doctest.h>

#include <fstream>

#include "agent/mesh_keeper.h"
#include "test/sds/kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot::testing {

struct MeshRig : Rig {
  explicit MeshRig(const std::vector<std::string>& identities) : Rig(entries_of(identities)) {
    auto parsed = parse_config(
        "trust_domain: example.org\n"
        "identities: [ { id: /web, match: [ \"unix:uid:1\" ] }, { id: /pay, match: [ "
        "\"unix:uid:2\" ] } ]\n"
        "mesh:\n  policy: " +
            directory.path().string() +
            "\n  workloads:\n"
            "  - { name: web, namespace: shop, identity: /web, ports: [ { port: 8080, app: "
            "\"127.0.0.1:81\" } ] }\n"
            "  - { name: pay, namespace: shop, identity: /pay, ports: [ { port: 9090, app: "
            "\"127.0.0.1:82\" } ] }\n",
        "a.yaml");
    REQUIRE(parsed);
    config.emplace(*std::move(parsed));
    keeper.emplace(clock, policy_workers, *config);
    keeper->start();
  }

  void write_policy(const std::string& mode) {
    std::ofstream(directory.path() / "p.yaml")
        << "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\n"
           "metadata: { name: a, namespace: shop }\nspec: { mtls: { mode: " +
               mode + " } }\n";
    clock.advance(std::chrono::seconds(2));
  }

  static std::vector<Entry> entries_of(const std::vector<std::string>& names) {
    std::vector<Entry> entries;
    for (const std::string& name : names) entries.push_back(make_entry(name));
    return entries;
  }

  TemporaryDirectory directory;
  std::optional<Config> config;
  InlineWorkers policy_workers;
  std::optional<MeshKeeper> keeper;
};

}  // namespace nodepilot::testing
