#include "agent/admin_status.h"

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

}  // namespace nodepilot
