#include "agent/status_text.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

namespace nodepilot {
namespace {

namespace pb = admin::v1;

constexpr std::int64_t kNow = 1'790'000'000;  // 2026-09-21T14:13:20Z

pb::IdentityStatus& add_identity(pb::GetStatusResponse& status, const std::string& name,
                                 pb::IdentityStatus::State state) {
  auto* identity = status.add_identities();
  identity->set_entry_id("spiffe://example.org/" + name);
  identity->set_spiffe_id("spiffe://example.org/" + name);
  identity->set_state(state);
  return *identity;
}

pb::GetStatusResponse healthy() {
  pb::GetStatusResponse status;
  status.set_version("0.1.0");
  status.set_trust_domain("example.org");
  status.set_started_at(kNow - 76 * 3600);
  status.set_now(kNow);
  status.set_connections(1);
  status.mutable_ca()->set_name("local");
  status.mutable_ca()->set_last_success_at(kNow - 42);
  auto* root = status.add_roots();
  root->set_serial("aa");
  root->set_subject("CN=root");
  root->set_not_after(kNow + 89 * 86400);
  auto& web = add_identity(status, "web", pb::IdentityStatus::ACTIVE);
  web.set_serial("7c1e0011223390ab");
  web.set_not_before(kNow - 60);
  web.set_not_after(kNow + 41 * 60);
  web.set_rotates_at(kNow + 11 * 60);
  web.set_streams(2);
  web.set_streams_current(2);
  return status;
}

TEST_CASE("the table of a healthy agent") {
  CHECK(status_table(healthy()) ==
        "AGENT   healthy  0.1.0  up 3d4h  trust domain example.org  1 connection\n"
        "CA      local  up  last ok 42s ago\n"
        "BUNDLE  1 root, soonest ends in 89d\n"
        "\n"
        "SPIFFE ID                 STATE   KIND  SERIAL     EXPIRES IN  ROTATES IN  STREAMS  LAST "
        "ERROR\n"
        "spiffe://example.org/web  Active  x509  7c1e…90ab  41m         11m         2        -\n");
}

TEST_CASE("who serves no new callers says so, in the table too") {
  auto status = healthy();
  CHECK(why_not_ready(status).empty());

  status.set_standing(pb::GetStatusResponse::WAITING);
  CHECK(why_not_ready(status).starts_with("another agent serves the sockets"));
  status.set_standing(pb::GetStatusResponse::FOLLOWED);
  CHECK(why_not_ready(status).starts_with("another agent took over"));
  CHECK(status_table(status).find("READY   no: another agent took over") != std::string::npos);
  status.set_standing(pb::GetStatusResponse::SERVING);
  status.clear_roots();
  CHECK(why_not_ready(status) == "no trust bundle yet: the CA has told none");
  status.mutable_ca()->set_last_error("sealed\n");
  CHECK(why_not_ready(status) == "no trust bundle yet: sealed?");
}

TEST_CASE("a policy of the mesh that could not be taken is told") {
  auto status = healthy();
  CHECK(status_table(status).find("MESH") == std::string::npos);

  status.set_mesh_failure("a.yaml:1:1: no");

  CHECK(status_table(status).find("MESH    an older policy: a.yaml:1:1: no") != std::string::npos);
}

TEST_CASE("identities in need come first, with what is known of their trouble") {
  auto status = healthy();
  status.mutable_ca()->set_last_error("sealed\n");
  add_identity(status, "idle", pb::IdentityStatus::IDLE);
  auto& late = add_identity(status, "late", pb::IdentityStatus::EXPIRED);
  late.set_serial("11f0000077ce");
  late.set_not_after(kNow - 5);
  late.set_rotates_at(kNow - 1);
  late.set_failures(2);
  late.set_streams(3);
  late.set_streams_current(1);
  late.set_last_error("ca: sealed");

  std::string table = status_table(status);

  CHECK(table.starts_with("AGENT   degraded"));
  CHECK(table.find("CA      local  failing  last ok 42s ago  last error: sealed?\n") !=
        std::string::npos);
  std::string rows = table.substr(table.find("spiffe://"));
  CHECK(
      rows ==
      "spiffe://example.org/late  Expired  x509  11f0…77ce  5s ago      now (try 3)  1 of 3   ca: "
      "sealed\n"
      "spiffe://example.org/web   Active   x509  7c1e…90ab  41m         11m          2        -\n"
      "spiffe://example.org/idle  Idle     x509  -          -           -            0        -\n");
}

pb::FederationStatus& add_federation(pb::GetStatusResponse& status, const std::string& name) {
  auto* federation = status.add_federations();
  federation->set_trust_domain(name);
  federation->set_url("https://" + name + "/");
  return *federation;
}

TEST_CASE("federations have a table of their own, the failing first, and make no agent degraded") {
  auto status = healthy();
  auto& fresh = add_federation(status, "b.org");
  fresh.set_has_bundle(true);
  fresh.set_sequence(7);
  fresh.set_last_success_at(kNow - 60);
  fresh.set_next_poll_at(kNow + 240);
  add_federation(status, "c.org");
  auto& failing = add_federation(status, "d.org");
  failing.set_has_bundle(true);
  failing.set_next_poll_at(kNow + 30);
  failing.set_failures(3);
  failing.set_last_error("GET https://d.org/: status\n503");

  std::string table = status_table(status);

  CHECK(table.starts_with("AGENT   healthy"));
  CHECK(table.substr(table.find("\nFEDERATION")) ==
        "\nFEDERATION  STATE    SEQUENCE   LAST OK  NEXT POLL  LAST ERROR\n"
        "d.org       Failing  none       -        30s        GET https://d.org/: status?503\n"
        "b.org       Fresh    7          1m ago   4m         -\n"
        "c.org       Waiting  no bundle  -        now        -\n");
}

TEST_CASE("the JSON tells all of a federation") {
  auto status = healthy();
  auto& failing = add_federation(status, "b.org");
  failing.set_has_bundle(true);
  failing.set_sequence(std::uint64_t{1} << 60);
  failing.set_last_success_at(kNow - 60);
  failing.set_failures(1);
  failing.set_polls(9);
  failing.set_failed_polls(2);
  failing.set_last_error("down");
  add_federation(status, "c.org");

  auto json = nlohmann::json::parse(status_json(status));

  CHECK(json["federations"][0] == nlohmann::json({{"trust_domain", "b.org"},
                                                  {"url", "https://b.org/"},
                                                  {"has_bundle", true},
                                                  {"sequence", std::uint64_t{1} << 60},
                                                  {"last_success_at", "2026-09-21T14:12:20Z"},
                                                  {"next_poll_at", nullptr},
                                                  {"failures", 1},
                                                  {"polls", 9},
                                                  {"failed_polls", 2},
                                                  {"last_error", "down"}}));
  CHECK(json["federations"][1]["sequence"] == nullptr);
  CHECK(json["healthy"] == true);
}

TEST_CASE("outputs have a table of their own, the failing first") {
  auto status = healthy();
  CHECK(status_table(status).find("OUTPUT") == std::string::npos);
  auto* good = status.add_outputs();
  good->set_directory("/etc/web");
  good->set_spiffe_id("spiffe://example.org/web");
  good->set_serial("7c1e0011223390ab");
  good->set_written_at(kNow - 60);
  auto* bad = status.add_outputs();
  bad->set_directory("/etc/db");
  bad->set_spiffe_id("spiffe://example.org/db");
  bad->set_last_error("disk full");
  bad->set_hook_error("exec /bin/x: exit status 1\x1b");

  std::string table = status_table(status);

  CHECK(table.starts_with("AGENT   degraded"));
  CHECK(table.find("OUTPUT") < table.find("/etc/db"));
  CHECK(table.find("/etc/db") < table.find("/etc/web"));
  CHECK(table.find("disk full") != std::string::npos);
  CHECK(table.find("7c1e…90ab  1m ago") != std::string::npos);
  CHECK(table.find('\x1b') == std::string::npos);
  auto json = nlohmann::json::parse(status_json(status));
  CHECK(json["healthy"] == false);
  CHECK(json["outputs"][0] == nlohmann::json({{"directory", "/etc/web"},
                                              {"spiffe_id", "spiffe://example.org/web"},
                                              {"serial", "7c1e0011223390ab"},
                                              {"written_at", "2026-09-21T14:12:20Z"},
                                              {"last_error", nullptr},
                                              {"hook_error", nullptr}}));
  CHECK(json["outputs"][1]["written_at"] == nullptr);
  CHECK(json["outputs"][1]["last_error"] == "disk full");
}

TEST_CASE("an agent that has just started says so") {
  pb::GetStatusResponse status;
  status.set_now(kNow);
  status.set_started_at(kNow);

  std::string table = status_table(status);

  CHECK(table.find("no answer yet") != std::string::npos);
  CHECK(table.find("BUNDLE  0 roots\n") != std::string::npos);
}

TEST_CASE("sealed state is shown, and what keeps it from the disk") {
  auto status = healthy();
  status.mutable_state()->set_sealed(true);
  CHECK(status_table(status).find("\nSTATE   sealed\n") != std::string::npos);
  CHECK(status_json(status).find(R"("kind": "sealed")") != std::string::npos);

  status.mutable_state()->set_last_error("no space left");

  std::string table = status_table(status);
  CHECK(table.find("\nSTATE   sealed, failing: no space left\n") != std::string::npos);
  CHECK(table.starts_with("AGENT   degraded"));
}

TEST_CASE("the JSON has a version, stable keys and times in RFC 3339 or null") {
  auto status = healthy();
  add_identity(status, "idle", pb::IdentityStatus::IDLE);

  auto json = nlohmann::json::parse(status_json(status));

  CHECK(json["version"] == 1);
  CHECK(json["agent_version"] == "0.1.0");
  CHECK(json["trust_domain"] == "example.org");
  CHECK(json["healthy"] == true);
  CHECK(json["now"] == "2026-09-21T14:13:20Z");
  CHECK(json["ca"]["last_success_at"] == "2026-09-21T14:12:38Z");
  CHECK(json["ca"]["last_error"] == nullptr);
  CHECK(json["roots"][0]["not_after"] == "2026-12-19T14:13:20Z");
  CHECK(json["identities"][0]["spiffe_id"] == "spiffe://example.org/web");
  CHECK(json["identities"][0]["state"] == "active");
  CHECK(json["identities"][0]["serial"] == "7c1e0011223390ab");
  CHECK(json["identities"][0]["rotates_at"] == "2026-09-21T14:24:20Z");
  CHECK(json["identities"][0]["streams_current"] == 2);
  CHECK(json["identities"][1]["serial"] == nullptr);
  CHECK(json["identities"][1]["not_after"] == nullptr);
}

TEST_CASE("a rotation tells old and new serial and who took it") {
  pb::RotateResponse response;
  auto* rotation = response.add_rotations();
  rotation->set_spiffe_id("spiffe://example.org/web");
  rotation->set_old_serial("7c1e0011223390ab");
  rotation->set_new_serial("a4020011223311d3");
  rotation->set_streams(2);
  rotation->set_streams_current(1);
  rotation->set_took_ms(23);
  auto* failed = response.add_rotations();
  failed->set_spiffe_id("spiffe://example.org/db");
  failed->set_error("ca: sealed");

  CHECK(rotation_text(response, true) ==
        "rotated  7c1e…90ab -> a402…11d3  spiffe://example.org/web  in 23ms; 1 of 2 streams took "
        "it\n"
        "failed   spiffe://example.org/db  ca: sealed\n");
  CHECK(rotation_text(response, false).find("in 23ms; 2 streams\n") != std::string::npos);
  auto json = nlohmann::json::parse(rotation_json(response));
  CHECK(json["version"] == 1);
  CHECK(json["rotations"][0]["new_serial"] == "a4020011223311d3");
  CHECK(json["rotations"][0]["error"] == nullptr);
  CHECK(json["rotations"][1]["error"] == "ca: sealed");
  CHECK(json["rotations"][1]["new_serial"] == nullptr);
}

TEST_CASE("a rotation of nothing says so") {
  CHECK(rotation_text({}, true) == "nothing to rotate: no identity is in use\n");
}

TEST_CASE("bytes that are no text do not break the JSON") {
  auto status = healthy();
  status.mutable_ca()->set_last_error("a\xff\x1b");

  auto json = nlohmann::json::parse(status_json(status));

  CHECK(json["ca"]["last_error"] == "a\xef\xbf\xbd\x1b");
}

}  // namespace
}  // namespace nodepilot
