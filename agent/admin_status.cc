#include "agent/admin_status.h"

#include "agent/mesh_keeper.h"

namespace nodepilot {

namespace pb = admin::v1;

namespace {

pb::IdentityStatus::State state_of(const AdminContext& context, const EntryState& held) {
  if (held.failure) {
    bool expired = held.svid && !held.svid->validity().contains(context.clock.now());
    return expired ? pb::IdentityStatus::EXPIRED : pb::IdentityStatus::RETRYING;
  }
  if (held.svid) return pb::IdentityStatus::ACTIVE;
  return held.subscribers > 0 ? pb::IdentityStatus::ISSUING : pb::IdentityStatus::IDLE;
}

void fill_federation(const FederationStatus& status, pb::FederationStatus& out) {
  out.set_trust_domain(status.trust_domain.name());
  out.set_url(status.url);
  out.set_has_bundle(status.has_bundle);
  if (status.sequence) out.set_sequence(*status.sequence);
  if (status.last_success) out.set_last_success_at(to_unix(*status.last_success));
  if (status.next_poll) out.set_next_poll_at(to_unix(*status.next_poll));
  out.set_failures(status.failures);
  out.set_polls(status.polls);
  out.set_failed_polls(status.failed_polls);
  if (status.last_error) out.set_last_error(status.last_error->message);
}

pb::GetStatusResponse::Standing to_proto(Listener::Standing standing) {
  switch (standing) {
    case Listener::Standing::kWaiting:
      return pb::GetStatusResponse::WAITING;
    case Listener::Standing::kFollowed:
      return pb::GetStatusResponse::FOLLOWED;
    case Listener::Standing::kServing:
      break;
  }
  return pb::GetStatusResponse::SERVING;
}

}  // namespace

std::int64_t to_unix(Time time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

void fill_identity(const AdminContext& context, const EntryState& held, pb::IdentityStatus& out) {
  out.set_entry_id(held.entry->id);
  out.set_spiffe_id(held.entry->spiffe_id.str());
  out.set_state(state_of(context, held));
  if (held.svid) {
    out.set_serial(held.svid->leaf().serial());
    out.set_not_before(to_unix(held.svid->validity().not_before));
    out.set_not_after(to_unix(held.svid->validity().not_after));
  }
  if (auto next = context.rotator.next_renewal(held.entry->id)) out.set_rotates_at(to_unix(*next));
  out.set_streams(static_cast<std::uint32_t>(held.streams));
  out.set_streams_current(static_cast<std::uint32_t>(held.streams_current));
  out.set_failures(context.rotator.failures(held.entry->id));
  if (held.failure) out.set_last_error(held.failure->message);
}

void fill_output(const OutputStatus& status, pb::OutputStatus& out) {
  out.set_directory(status.directory.string());
  out.set_spiffe_id(status.spiffe_id);
  out.set_serial(status.serial);
  if (status.written_at) out.set_written_at(to_unix(*status.written_at));
  if (status.error) out.set_last_error(status.error->message);
  if (status.hook_error) out.set_hook_error(status.hook_error->message);
}

pb::GetStatusResponse readiness_status(const AdminContext& context) {
  pb::GetStatusResponse out;
  out.set_standing(to_proto(context.standing()));
  if (BundlePtr bundle = context.store.bundle()) {
    for (const Certificate& root : bundle->roots()) {
      auto* out_root = out.add_roots();
      out_root->set_serial(root.serial());
      out_root->set_subject(root.subject());
      out_root->set_not_after(to_unix(root.validity().not_after));
    }
  }
  return out;
}

pb::GetStatusResponse agent_status(const AdminContext& context) {
  pb::GetStatusResponse out = readiness_status(context);
  out.set_version(NODEPILOT_VERSION);
  out.set_trust_domain(context.trust_domain);
  out.set_started_at(to_unix(context.started_at));
  out.set_now(to_unix(context.clock.now()));
  out.set_connections(static_cast<std::uint32_t>(context.connections()));
  if (context.mesh != nullptr) out.set_mesh_failure(context.mesh->failure());
  out.mutable_ca()->set_name(context.ca_name);
  if (auto at = context.rotator.ca_last_success())
    out.mutable_ca()->set_last_success_at(to_unix(*at));
  if (auto error = context.rotator.ca_last_error())
    out.mutable_ca()->set_last_error(error->message);
  out.mutable_state()->set_sealed(context.sealed);
  if (context.sealed) {
    if (auto failure = context.state_failure())
      out.mutable_state()->set_last_error(failure->message);
  }
  for (const EntryPtr& entry : context.store.identities()) {
    fill_identity(context, context.store.state(entry->id), *out.add_identities());
  }
  for (const FederationStatus& federation : context.federations()) {
    fill_federation(federation, *out.add_federations());
  }
  for (const OutputStatus& output : context.outputs()) fill_output(output, *out.add_outputs());
  return out;
}

}  // namespace nodepilot
