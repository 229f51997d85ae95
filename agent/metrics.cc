#include "agent/metrics.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "agent/admin_status.h"
#include "agent/mesh_keeper.h"
#include "agent/metric_families.h"
#include "agent/process_metrics.h"
#include "agent/status_text.h"

namespace nodepilot {
namespace {

namespace pb = admin::v1;

double number(Time time) { return static_cast<double>(to_unix(time)); }

// An issue that fails is trouble ahead while something valid is held, and trouble now if not.
const char* state_of(const pb::IdentityStatus& identity, std::int64_t now) {
  switch (identity.state()) {
    case pb::IdentityStatus::ACTIVE:
      return "active";
    case pb::IdentityStatus::ISSUING:
      return "issuing";
    case pb::IdentityStatus::IDLE:
      return "idle";
    default:
      return identity.not_after() > now ? "retrying" : "unserved";
  }
}

// Every state, though nobody is in it: a rate or a sum over a series that is missing is no zero.
void add_states(const pb::GetStatusResponse& status, MetricFamilies& out) {
  std::map<std::string, std::size_t> counts = {
      {"active", 0}, {"idle", 0}, {"issuing", 0}, {"retrying", 0}, {"unserved", 0}};
  for (const auto& identity : status.identities()) ++counts[state_of(identity, status.now())];
  out.gauge("nodepilot_identities", "Identities of the configuration and of templates, by state.");
  for (const auto& [state, count] : counts) {
    out.add(static_cast<double>(count), {{"state", state}});
  }
}

// Several entries may lead to one SPIFFE ID: its series tell of the one in most need.
struct Need {
  std::string id;
  const pb::IdentityStatus* held = nullptr;  // ends soonest
  std::uint32_t failures = 0;
};

std::vector<Need> needs(const pb::GetStatusResponse& status) {
  std::map<std::string, Need> by_id;
  for (const auto& identity : status.identities()) {
    Need& need = by_id[identity.spiffe_id()];
    need.id = identity.spiffe_id();
    need.failures = std::max(need.failures, identity.failures());
    if (identity.serial().empty()) continue;
    if (need.held == nullptr || identity.not_after() < need.held->not_after()) {
      need.held = &identity;
    }
  }
  std::vector<Need> all;
  for (auto& [id, need] : by_id) {
    if (need.held != nullptr || need.failures > 0) all.push_back(std::move(need));
  }
  return all;
}

void add_identities(const pb::GetStatusResponse& status, std::size_t max, MetricFamilies& out) {
  std::vector<Need> told = needs(status);
  std::stable_partition(told.begin(), told.end(), [](const Need& need) { return need.failures; });
  std::size_t left_out = told.size() - std::min(told.size(), max);
  told.resize(told.size() - left_out);

  // What `value` says of each that holds an SVID.
  auto add = [&](const char* name, const char* help, auto value) {
    out.gauge(name, help);
    for (const Need& need : told) {
      if (need.held != nullptr) {
        out.add(static_cast<double>(value(*need.held)), {{"spiffe_id", need.id}});
      }
    }
  };
  add("nodepilot_svid_not_after_timestamp_seconds", "When the X509-SVID held ends.",
      [](const auto& held) { return held.not_after(); });
  add("nodepilot_svid_lifetime_seconds", "The whole life of the X509-SVID held.",
      [](const auto& held) { return held.not_after() - held.not_before(); });
  add("nodepilot_svid_expiry_seconds", "The rest of the life of the X509-SVID held.",
      [&](const auto& held) { return held.not_after() - status.now(); });
  out.gauge("nodepilot_rotation_failures_consecutive",
            "Tries to issue that failed since the last that did not.");
  for (const Need& need : told) out.add(need.failures, {{"spiffe_id", need.id}});
  out.gauge("nodepilot_identities_left_out", "SPIFFE IDs too many to have series of their own.")
      .add(static_cast<double>(left_out));
}

void add_rotations(const Rotator& rotator, MetricFamilies& out) {
  const RotationCounts& counts = rotator.counts();
  out.counter("nodepilot_rotations_total", "Tries to issue an X509-SVID.");
  for (auto [reason, tally] : {std::pair("first", counts.first), std::pair("due", counts.renewal),
                               std::pair("forced", counts.forced)}) {
    out.add_results(tally.succeeded, tally.failed, {{"reason", reason}});
  }
}

void add_ca(const AdminContext& context, MetricFamilies& out) {
  const std::string& ca = context.ca_name;
  auto last = context.rotator.ca_last_success();
  const auto& error = context.rotator.ca_last_error();
  out.gauge("nodepilot_ca_up",
            "Whether the last answer of the CA was good; none before the first.");
  if (last || error) out.add(error ? 0 : 1, {{"ca", ca}});
  out.gauge("nodepilot_ca_last_success_timestamp_seconds", "When the CA last answered well.");
  if (last) out.add(number(*last), {{"ca", ca}});

  out.histogram("nodepilot_ca_request_duration_seconds", "How long the CA took to answer.");
  for (const auto& [answer, took] : context.rotator.ca_answers()) {
    const char* op = answer.request == CaAnswer::Request::kSign ? "sign" : "bundle";
    out.add(took, {{"ca", ca}, {"op", op}, {"code", to_string(answer.code)}});
  }
}

void add_bundles(const IdentityStore& store, MetricFamilies& out) {
  out.gauge("nodepilot_bundle_not_after_timestamp_seconds",
            "When the root of the trust domain that ends first does so.");
  auto add = [&](const TrustBundle& bundle) {
    std::optional<Time> first;
    for (const Certificate& root : bundle.roots()) {
      Time end = root.validity().not_after;
      if (!first || end < *first) first = end;
    }
    if (first) out.add(number(*first), {{"trust_domain", bundle.trust_domain().name()}});
  };
  if (BundlePtr own = store.bundle()) add(*own);
  for (const auto& [trust_domain, bundle] : store.federated()) {
    if (bundle) add(*bundle);
  }
}

void add_federations(const std::vector<FederationStatus>& federations, MetricFamilies& out) {
  out.counter("nodepilot_federation_polls_total", "Polls of a foreign trust domain's bundle.");
  for (const FederationStatus& federation : federations) {
    out.add_results(federation.polls - federation.failed_polls, federation.failed_polls,
                    {{"trust_domain", federation.trust_domain.name()}});
  }
  out.gauge("nodepilot_federation_last_success_timestamp_seconds",
            "When a foreign trust domain's bundle was last had.");
  for (const FederationStatus& federation : federations) {
    if (!federation.last_success) continue;
    out.add(number(*federation.last_success), {{"trust_domain", federation.trust_domain.name()}});
  }
}

void add_attestations(const CallerIdentifier& callers, MetricFamilies& out) {
  out.counter("nodepilot_attestations_total", "How often an attestor was asked who calls.");
  for (const auto& [attestor, counts] : callers.counts()) {
    out.add_results(counts.succeeded, counts.failed, {{"attestor", attestor}});
  }
  out.histogram("nodepilot_attestation_duration_seconds", "How long an attestor took to say.");
  for (const auto& [attestor, counts] : callers.counts()) {
    out.add(counts.took, {{"attestor", attestor}});
  }
}

void add_callers(const AdminContext& context, MetricFamilies& out) {
  std::map<Code, std::uint64_t> denials = context.refusals.counts();
  denials.insert({{Code::kPermissionDenied, 0}, {Code::kUnavailable, 0}});
  out.counter("nodepilot_denials_total", "Calls of workloads that were refused an identity.");
  for (const auto& [code, count] : denials) {
    out.add(static_cast<double>(count), {{"reason", to_string(code)}});
  }

  out.gauge("nodepilot_connections", "Open connections to the public socket.")
      .add(static_cast<double>(context.connections()));
  out.counter("nodepilot_connection_incidents_total",
              "Connections to the public socket that were refused or closed for cause.");
  for (const auto& [event, count] : context.incidents()) {
    out.add(static_cast<double>(count), {{"event", event}});
  }
  out.gauge("nodepilot_streams", "Streams of workloads and proxies that are open.");
  for (const auto& [api, count] : context.store.subscriptions_by_api()) {
    out.add(static_cast<double>(count), {{"api", api}});
  }
  out.counter("nodepilot_sds_nacks_total", "Answers of SDS that clients rejected.")
      .add(static_cast<double>(context.rejections()));
}

void add_mesh(const MeshKeeper& mesh, MetricFamilies& out) {
  out.gauge("nodepilot_mesh_policy_up", "Whether the policy as it is on the disk is in force.")
      .add(mesh.failure().empty() ? 1 : 0);
  out.counter("nodepilot_mesh_nacks_total", "Listeners and clusters that Envoys rejected.")
      .add(static_cast<double>(mesh.rejections()));
}

void add_outputs(const std::vector<OutputStatus>& outputs, MetricFamilies& out) {
  out.counter("nodepilot_output_writes_total", "Tries to write the files of an output.");
  for (const OutputStatus& output : outputs) {
    out.add_results(output.writes - output.failed_writes, output.failed_writes,
                    {{"output", output.directory.string()}});
  }
  out.gauge("nodepilot_output_up", "Whether an output is as it shall be and its hooks were told.");
  for (const OutputStatus& output : outputs) {
    out.add(output.error || output.hook_error ? 0 : 1, {{"output", output.directory.string()}});
  }
}

}  // namespace

std::string metrics_text(const AdminContext& context, const MetricsOptions& options) {
  pb::GetStatusResponse status = agent_status(context);
  MetricFamilies out;
  out.gauge("nodepilot_build_info", "Always 1; the labels tell what runs.")
      .add(1, {{"version", status.version()}});
  out.gauge("nodepilot_ready", "Whether new callers are served, as /ready tells.")
      .add(why_not_ready(status).empty() ? 1 : 0);
  add_states(status, out);
  if (options.per_identity) add_identities(status, options.max_identities, out);
  add_rotations(context.rotator, out);
  add_ca(context, out);
  add_bundles(context.store, out);
  add_federations(context.federations(), out);
  add_attestations(context.callers, out);
  add_callers(context, out);
  if (context.mesh != nullptr) add_mesh(*context.mesh, out);
  add_outputs(context.outputs(), out);
  if (context.sealed) {
    out.gauge("nodepilot_state_up", "Whether the sealed state on the disk is as it shall be.")
        .add(context.state_failure() ? 0 : 1);
  }
  add_process_metrics(status.started_at(), out);
  return std::move(out).text();
}

}  // namespace nodepilot
