#include "agent/metrics.h"

#include <doctest/doctest.h>

#include "agent/mesh_keeper.h"
#include "test/agent/admin_rig.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

const std::string kWeb = R"({spiffe_id="spiffe://td/0"})";

// What the text says of a series, "name{labels}"; empty if it says nothing.
std::string value(const std::string& text, const std::string& series) {
  std::string line = "\n" + series + " ";
  auto begin = text.find(line);
  if (begin == std::string::npos) return "";
  begin += line.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

double number(const std::string& text, const std::string& series) {
  std::string found = value(text, series);
  REQUIRE_MESSAGE(!found.empty(), series << " is not in\n" << text);
  return std::stod(found);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("each metric says what it is") {
  AdminRig rig(0);

  std::string text = metrics_text(rig.context);

  CHECK(
      text.starts_with("# HELP nodepilot_build_info Always 1; the labels tell what runs.\n"
                       "# TYPE nodepilot_build_info gauge\n"
                       "nodepilot_build_info{version=\""));
}

TEST_CASE("the end, the life and the rest of an SVID are told, and move when it is renewed") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  std::string before = metrics_text(rig.context);
  double end = number(before, "nodepilot_svid_not_after_timestamp_seconds" + kWeb);
  double life = number(before, "nodepilot_svid_lifetime_seconds" + kWeb);
  CHECK(number(before, "nodepilot_svid_expiry_seconds" + kWeb) <= life);
  CHECK(life == 3600);

  rig.clock.advance(minutes(31));

  std::string after = metrics_text(rig.context);
  CHECK(number(after, "nodepilot_svid_not_after_timestamp_seconds" + kWeb) > end);
  CHECK(value(after, R"(nodepilot_rotations_total{reason="first",result="success"})") == "1");
  CHECK(value(after, R"(nodepilot_rotations_total{reason="due",result="success"})") == "1");
  CHECK(value(after, R"(nodepilot_rotations_total{reason="forced",result="success"})") == "0");
}

TEST_CASE("the series of an identity end with it") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  CHECK(has(metrics_text(rig.context), "spiffe://td/0"));

  watcher->leave();
  rig.clock.advance(minutes(2));

  std::string text = metrics_text(rig.context);
  CHECK_FALSE(has(text, "spiffe://td/0"));
  CHECK(value(text, R"(nodepilot_identities{state="idle"})") == "1");
}

TEST_CASE("without per_identity no SPIFFE ID is told, but how many are in which state") {
  AdminRig rig(3);
  auto watchers = rig.watch_all(2);

  std::string text = metrics_text(rig.context, {.per_identity = false});

  CHECK_FALSE(has(text, "spiffe://"));
  CHECK(value(text, R"(nodepilot_identities{state="active"})") == "2");
  CHECK(value(text, R"(nodepilot_identities{state="idle"})") == "1");
  CHECK(value(text, R"(nodepilot_identities{state="unserved"})") == "0");
}

TEST_CASE("an identity whose issue fails is told from one that has nothing left") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  rig.ca.fail_with(Code::kUnavailable);

  rig.clock.advance(minutes(40));
  std::string failing = metrics_text(rig.context);
  CHECK(value(failing, R"(nodepilot_identities{state="retrying"})") == "1");
  CHECK(number(failing, "nodepilot_svid_expiry_seconds" + kWeb) > 0);

  rig.clock.advance(minutes(25));
  std::string ended = metrics_text(rig.context);
  CHECK(value(ended, R"(nodepilot_identities{state="unserved"})") == "1");
  CHECK(value(ended, R"(nodepilot_identities{state="retrying"})") == "0");
  CHECK(value(ended, "nodepilot_svid_expiry_seconds" + kWeb).empty());
  CHECK(number(ended, "nodepilot_rotation_failures_consecutive" + kWeb) > 0);
}

TEST_CASE("of too many identities those in need are told, and how many are left out") {
  AdminRig rig(4);
  rig.ca.refuse("spiffe://td/3");
  auto watchers = rig.watch_all(4);

  std::string text = metrics_text(rig.context, {.max_identities = 2});

  CHECK(value(text, "nodepilot_identities_left_out") == "2");
  CHECK(number(text, R"(nodepilot_rotation_failures_consecutive{spiffe_id="spiffe://td/3"})") > 0);
  CHECK(value(text, "nodepilot_rotation_failures_consecutive" + kWeb) == "0");
  CHECK_FALSE(has(text, "spiffe://td/1"));
  CHECK_FALSE(has(text, "spiffe://td/2"));
  CHECK_FALSE(has(text, R"(nodepilot_svid_expiry_seconds{spiffe_id="spiffe://td/3"})"));
}

TEST_CASE("a CA that fails and recovers is seen to") {
  AdminRig rig(1);
  auto watcher = rig.watch(0);
  auto up = [&] { return value(metrics_text(rig.context), R"(nodepilot_ca_up{ca="fake"})"); };
  auto answers = [&](const std::string& op, const std::string& code) {
    return value(metrics_text(rig.context),
                 R"(nodepilot_ca_request_duration_seconds_count{ca="fake",op=")" + op +
                     R"(",code=")" + code + R"("})");
  };
  CHECK(up() == "1");
  CHECK(answers("sign", "OK") == "1");
  CHECK_FALSE(answers("bundle", "OK").empty());
  CHECK(answers("sign", "UNAVAILABLE").empty());

  rig.ca.fail_with(Code::kUnavailable);
  rig.rotate(0);
  CHECK(up() == "0");
  CHECK(answers("sign", "UNAVAILABLE") == "1");
  CHECK(number(metrics_text(rig.context),
               R"(nodepilot_rotations_total{reason="forced",result="failure"})") == 1);

  rig.ca.recover();
  rig.clock.advance(minutes(5));
  CHECK(up() == "1");
}

TEST_CASE("a CA that was not asked yet is neither up nor down") {
  AdminRig rig(0);
  rig.workers.hold();
  Rotator fresh(rig.clock, rig.workers, rig.ca, rig.store, {}, [] { return 0.5; });
  AdminContext context{.clock = rig.clock,
                       .store = rig.store,
                       .rotator = fresh,
                       .callers = rig.callers,
                       .refusals = rig.refusals,
                       .procfs = {},
                       .trust_domain = "td",
                       .ca_name = "fake",
                       .started_at = rig.clock.now(),
                       .connections = [] { return std::size_t{0}; },
                       .federations = [] { return std::vector<FederationStatus>(); },
                       .outputs = [] { return std::vector<OutputStatus>(); }};

  std::string text = metrics_text(context);

  CHECK_FALSE(has(text, "nodepilot_ca_"));
  CHECK_FALSE(has(text, "nodepilot_state_up"));
}

TEST_CASE("readiness is what status tells") {
  AdminRig rig(0);
  CHECK(value(metrics_text(rig.context), "nodepilot_ready") == "1");

  rig.standing = Listener::Standing::kFollowed;

  CHECK(value(metrics_text(rig.context), "nodepilot_ready") == "0");
}

TEST_CASE("roots that end, federations and their polls are told by trust domain") {
  AdminRig rig(0);
  rig.federations.push_back({.trust_domain = TrustDomain::parse("b.org").value(),
                             .url = "https://b.org/",
                             .has_bundle = true,
                             .last_success = rig.clock.now(),
                             .polls = 3,
                             .failed_polls = 2});

  std::string text = metrics_text(rig.context);

  CHECK(number(text, R"(nodepilot_bundle_not_after_timestamp_seconds{trust_domain="td"})") > 1e9);
  std::string polls = R"(nodepilot_federation_polls_total{trust_domain="b.org",result=)";
  CHECK(value(text, polls + R"("success"})") == "1");
  CHECK(value(text, polls + R"("failure"})") == "2");
  CHECK(
      number(text, R"(nodepilot_federation_last_success_timestamp_seconds{trust_domain="b.org"})") >
      1e9);
}

TEST_CASE("refusals, attestations, connections and rejections are counted") {
  AdminRig rig(1);
  rig.incidents = {{"connection refused", 4}};
  rig.rejections = 5;
  auto before = metrics_text(rig.context);
  CHECK(value(before, R"(nodepilot_denials_total{reason="PERMISSION_DENIED"})") == "0");
  CHECK(value(before, R"(nodepilot_denials_total{reason="UNAVAILABLE"})") == "0");
  auto call = rig.call("GetStatus");
  rig.callers.identify(call.peer(), std::make_shared<int>(), [](const Attestation&) {});
  rig.attestor.answer = fail(Code::kInternal, "no");
  rig.callers.identify(call.peer(), std::make_shared<int>(), [](const Attestation&) {});
  rig.refusals.note(*call.peer(), {.method = "M", .code = Code::kPermissionDenied, .cause = ""});
  Watcher watcher(rig.store, 0);

  std::string text = metrics_text(rig.context);

  CHECK(value(text, R"(nodepilot_denials_total{reason="PERMISSION_DENIED"})") == "1");
  CHECK(value(text, R"(nodepilot_attestations_total{attestor="unix",result="success"})") == "1");
  CHECK(value(text, R"(nodepilot_attestations_total{attestor="unix",result="failure"})") == "1");
  CHECK(value(text, R"(nodepilot_attestation_duration_seconds_count{attestor="unix"})") == "2");
  CHECK(
      value(text, R"(nodepilot_attestation_duration_seconds_bucket{attestor="unix",le="+Inf"})") ==
      "2");
  CHECK(value(text, "nodepilot_connections") == "7");
  CHECK(value(text, R"(nodepilot_connection_incidents_total{event="connection refused"})") == "4");
  CHECK(value(text, "nodepilot_sds_nacks_total") == "5");
}

TEST_CASE("streams are counted by their API, without those of the agent itself") {
  AdminRig rig(1);
  auto open = [&](pid_t pid) {
    return rig.store.subscribe({Watcher::selector(0)}, [](const UpdatePtr&) {}, Interest::kSvids,
                               {.pid = pid, .uid = 0, .api = "StreamSecrets"});
  };
  auto first = open(7);
  auto second = open(8);
  auto own = open(0);

  CHECK(value(metrics_text(rig.context), R"(nodepilot_streams{api="StreamSecrets"})") == "2");

  second.reset();
  CHECK(value(metrics_text(rig.context), R"(nodepilot_streams{api="StreamSecrets"})") == "1");
}

TEST_CASE("outputs and the state tell that they fail, not why") {
  AdminRig rig(0);
  rig.outputs.push_back({.directory = "/etc/web",
                         .spiffe_id = "spiffe://td/web",
                         .serial = "1f",
                         .written_at = {},
                         .error = Error{Code::kInternal, "disk full"},
                         .hook_error = {},
                         .writes = 3,
                         .failed_writes = 1});

  std::string text = metrics_text(rig.context);

  CHECK(value(text, R"(nodepilot_output_writes_total{output="/etc/web",result="success"})") == "2");
  CHECK(value(text, R"(nodepilot_output_writes_total{output="/etc/web",result="failure"})") == "1");
  CHECK(value(text, R"(nodepilot_output_up{output="/etc/web"})") == "0");
  CHECK(value(text, "nodepilot_state_up") == "0");
  CHECK_FALSE(has(text, "disk full"));
}

TEST_CASE("a policy of the mesh that cannot be read is seen, and the answers Envoys rejected") {
  TemporaryDirectory missing;
  auto config = parse_config(
      "trust_domain: td\n"
      "identities: [ { id: /web, match: [ \"unix:uid:1\" ] } ]\n"
      "mesh:\n  policy: " +
          (missing.path() / "none").string() +
          "\n  workloads: [ { name: web, namespace: shop, identity: /web, ports: [ { port: 8080, "
          "app: \"127.0.0.1:81\" } ] } ]\n",
      "a.yaml");
  REQUIRE(config);
  AdminRig rig(0);
  CHECK_FALSE(has(metrics_text(rig.context), "nodepilot_mesh"));
  MeshKeeper mesh(rig.clock, rig.workers, *config);
  mesh.start();
  mesh.note_rejection();
  rig.context.mesh = &mesh;

  std::string text = metrics_text(rig.context);

  CHECK(value(text, "nodepilot_mesh_policy_up") == "0");
  CHECK(value(text, "nodepilot_mesh_nacks_total") == "1");
}

TEST_CASE("the process tells of itself") {
  AdminRig rig(0);

  std::string text = metrics_text(rig.context);

  CHECK(number(text, "process_resident_memory_bytes") > 1e6);
  CHECK(number(text, "process_virtual_memory_bytes") >
        number(text, "process_resident_memory_bytes"));
  CHECK(number(text, "process_open_fds") >= 3);
  CHECK(number(text, "process_max_fds") >= number(text, "process_open_fds"));
  CHECK(number(text, "process_cpu_seconds_total") >= 0);
  CHECK(number(text, "process_start_time_seconds") > 1e9);
}

}  // namespace
}  // namespace nodepilot
