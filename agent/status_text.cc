#include "agent/status_text.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <tuple>
#include <vector>

#include "agent/base/time.h"
#include "agent/cli_text.h"

namespace nodepilot {
namespace {

namespace pb = admin::v1;
using Json = nlohmann::ordered_json;
using State = pb::IdentityStatus;

Time from_unix(std::int64_t seconds) { return Time(std::chrono::seconds(seconds)); }

// How long from `now` to `then`, both Unix seconds; empty if `then` is not known.
std::string time_until(std::int64_t now, std::int64_t then) {
  return then == 0 ? "" : to_text(from_unix(then) - from_unix(now));
}

std::string or_dash(const std::string& text) { return text.empty() ? "-" : printable(text); }

struct StateText {
  int need;  // the smaller, the more urgent
  const char* title;
  const char* key;
};

StateText state_text(State::State state) {
  switch (state) {
    case State::EXPIRED:
      return {0, "Expired", "expired"};
    case State::RETRYING:
      return {1, "Retrying", "retrying"};
    case State::ISSUING:
      return {2, "Issuing", "issuing"};
    case State::ACTIVE:
      return {3, "Active", "active"};
    case State::IDLE:
      return {4, "Idle", "idle"};
    default:
      return {5, "Unknown", "unknown"};
  }
}

std::vector<const pb::IdentityStatus*> worst_first(const pb::GetStatusResponse& status) {
  std::vector<const pb::IdentityStatus*> sorted;
  for (const auto& identity : status.identities()) sorted.push_back(&identity);
  auto rank = [](const pb::IdentityStatus* identity) {
    return std::make_tuple(state_text(identity->state()).need, identity->not_after(),
                           std::string_view(identity->entry_id()));
  };
  std::sort(sorted.begin(), sorted.end(),
            [&](const auto* a, const auto* b) { return rank(a) < rank(b); });
  return sorted;
}

// "11m", "now (try 3)"
std::string next_issue(const pb::IdentityStatus& identity, std::int64_t now) {
  if (identity.rotates_at() == 0) return "-";
  std::string when = identity.rotates_at() <= now ? "now" : time_until(now, identity.rotates_at());
  if (identity.failures() == 0) return when;
  return when + " (try " + std::to_string(identity.failures() + 1) + ")";
}

std::string expiry(const pb::IdentityStatus& identity, std::int64_t now) {
  if (identity.not_after() == 0) return "-";
  if (identity.not_after() <= now) return time_until(identity.not_after(), now) + " ago";
  return time_until(now, identity.not_after());
}

std::string streams(std::uint32_t all, std::uint32_t current) {
  if (current >= all) return std::to_string(all);
  return std::to_string(current) + " of " + std::to_string(all);
}

bool has_failed(const pb::OutputStatus& output) {
  return !output.last_error().empty() || !output.hook_error().empty();
}

bool is_degraded(const pb::GetStatusResponse& status) {
  auto in_need = [](const pb::IdentityStatus& identity) {
    return identity.state() == State::EXPIRED || identity.state() == State::RETRYING;
  };
  return !status.ca().last_error().empty() || !status.state().last_error().empty() ||
         std::any_of(status.identities().begin(), status.identities().end(), in_need) ||
         std::any_of(status.outputs().begin(), status.outputs().end(), has_failed);
}

// Empty if all is kept in memory.
std::string state_line(const pb::StateStatus& state) {
  if (!state.sealed()) return "";
  if (state.last_error().empty()) return "STATE   sealed\n";
  return "STATE   sealed, failing: " + printable(state.last_error()) + "\n";
}

std::string head(const pb::GetStatusResponse& status) {
  std::int64_t now = status.now();
  std::string text = std::string("AGENT   ") + (is_degraded(status) ? "degraded" : "healthy") +
                     "  " + printable(status.version()) + "  up " +
                     time_until(status.started_at(), now) + "  trust domain " +
                     printable(status.trust_domain()) + "  " +
                     counted(status.connections(), "connection") + "\n";

  const pb::CaStatus& ca = status.ca();
  std::string last = ca.last_success_at() == 0
                         ? "no answer yet"
                         : "last ok " + time_until(ca.last_success_at(), now) + " ago";
  text += "CA      " + printable(ca.name()) + "  " + (ca.last_error().empty() ? "up" : "failing") +
          "  " + last +
          (ca.last_error().empty() ? "" : "  last error: " + printable(ca.last_error())) + "\n";

  text += "BUNDLE  " + counted(static_cast<std::uint64_t>(status.roots_size()), "root");
  if (status.roots_size() > 0) {
    auto soonest = std::min_element(
        status.roots().begin(), status.roots().end(),
        [](const auto& a, const auto& b) { return a.not_after() < b.not_after(); });
    text += ", soonest ends in " + time_until(now, soonest->not_after());
  }
  text += "\n" + state_line(status.state());
  if (auto why = why_not_ready(status); !why.empty()) text += "READY   no: " + why + "\n";
  if (!status.mesh_failure().empty()) {
    text += "MESH    an older policy: " + printable(status.mesh_failure()) + "\n";
  }
  return text + "\n";
}

std::string poll_state(const pb::FederationStatus& federation) {
  if (federation.failures() > 0) return "Failing";
  return federation.last_success_at() == 0 ? "Waiting" : "Fresh";
}

// Empty without federations; the ones that fail come first.
std::string federation_table(const pb::GetStatusResponse& status) {
  if (status.federations().empty()) return "";
  std::vector<const pb::FederationStatus*> sorted;
  for (const auto& federation : status.federations()) sorted.push_back(&federation);
  std::stable_partition(sorted.begin(), sorted.end(),
                        [](const auto* federation) { return federation->failures() > 0; });
  std::int64_t now = status.now();
  std::vector<std::vector<std::string>> rows = {
      {"FEDERATION", "STATE", "SEQUENCE", "LAST OK", "NEXT POLL", "LAST ERROR"}};
  for (const pb::FederationStatus* federation : sorted) {
    std::string held = federation->has_bundle() ? "none" : "no bundle";
    std::string ok = time_until(federation->last_success_at(), now);
    std::string next = time_until(now, std::max(federation->next_poll_at(), now));
    rows.push_back({printable(federation->trust_domain()), poll_state(*federation),
                    federation->has_sequence() ? std::to_string(federation->sequence()) : held,
                    federation->last_success_at() == 0 ? "-" : ok + " ago",
                    federation->next_poll_at() == 0 ? "now" : next,
                    or_dash(federation->last_error())});
  }
  return "\n" + render_table(rows);
}

// Empty without outputs; the ones that fail come first.
std::string output_table(const pb::GetStatusResponse& status) {
  if (status.outputs().empty()) return "";
  std::vector<const pb::OutputStatus*> sorted;
  for (const auto& output : status.outputs()) sorted.push_back(&output);
  std::stable_partition(sorted.begin(), sorted.end(),
                        [](const auto* output) { return has_failed(*output); });
  std::vector<std::vector<std::string>> rows = {
      {"OUTPUT", "SPIFFE ID", "SERIAL", "WRITTEN", "LAST ERROR", "HOOK ERROR"}};
  for (const pb::OutputStatus* output : sorted) {
    std::string age = time_until(output->written_at(), status.now());
    rows.push_back({printable(output->directory()), printable(output->spiffe_id()),
                    short_serial(output->serial()), output->written_at() == 0 ? "-" : age + " ago",
                    or_dash(output->last_error()), or_dash(output->hook_error())});
  }
  return "\n" + render_table(rows);
}

Json time_json(std::int64_t seconds) {
  return seconds == 0 ? Json(nullptr) : Json(to_rfc3339(from_unix(seconds)));
}

Json text_json(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json identity_json(const pb::IdentityStatus& identity) {
  return {{"entry_id", identity.entry_id()},
          {"spiffe_id", identity.spiffe_id()},
          {"state", state_text(identity.state()).key},
          {"kind", "x509"},
          {"serial", text_json(identity.serial())},
          {"not_before", time_json(identity.not_before())},
          {"not_after", time_json(identity.not_after())},
          {"rotates_at", time_json(identity.rotates_at())},
          {"streams", identity.streams()},
          {"streams_current", identity.streams_current()},
          {"failures", identity.failures()},
          {"last_error", text_json(identity.last_error())}};
}

Json federation_json(const pb::FederationStatus& federation) {
  return {{"trust_domain", federation.trust_domain()},
          {"url", federation.url()},
          {"has_bundle", federation.has_bundle()},
          {"sequence", federation.has_sequence() ? Json(federation.sequence()) : Json(nullptr)},
          {"last_success_at", time_json(federation.last_success_at())},
          {"next_poll_at", time_json(federation.next_poll_at())},
          {"failures", federation.failures()},
          {"polls", federation.polls()},
          {"failed_polls", federation.failed_polls()},
          {"last_error", text_json(federation.last_error())}};
}

Json output_json(const pb::OutputStatus& output) {
  return {{"directory", output.directory()},
          {"spiffe_id", output.spiffe_id()},
          {"serial", text_json(output.serial())},
          {"written_at", time_json(output.written_at())},
          {"last_error", text_json(output.last_error())},
          {"hook_error", text_json(output.hook_error())}};
}

// Bytes that are no UTF-8 are replaced: dump() must not throw.
std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

// "2 streams", or with `waited` "1 of 2 streams took it".
std::string taken_text(const pb::Rotation& rotation, bool waited) {
  std::string all = counted(rotation.streams(), "stream");
  if (!waited || rotation.streams() == 0) return all;
  return std::to_string(rotation.streams_current()) + " of " + all + " took it";
}

std::string rotation_line(const pb::Rotation& rotation, bool waited) {
  std::string id = printable(rotation.spiffe_id());
  if (!rotation.error().empty())
    return "failed   " + id + "  " + printable(rotation.error()) + "\n";
  if (rotation.pending()) {
    return "pending  " + id + "  not issued in time; it goes on in the background\n";
  }
  return "rotated  " + short_serial(rotation.old_serial()) + " -> " +
         short_serial(rotation.new_serial()) + "  " + id + "  in " +
         std::to_string(rotation.took_ms()) + "ms; " + taken_text(rotation, waited) + "\n";
}

}  // namespace

std::string status_table(const pb::GetStatusResponse& status) {
  std::vector<std::vector<std::string>> rows = {{"SPIFFE ID", "STATE", "KIND", "SERIAL",
                                                 "EXPIRES IN", "ROTATES IN", "STREAMS",
                                                 "LAST ERROR"}};
  for (const pb::IdentityStatus* identity : worst_first(status)) {
    rows.push_back({printable(identity->spiffe_id()), state_text(identity->state()).title, "x509",
                    short_serial(identity->serial()), expiry(*identity, status.now()),
                    next_issue(*identity, status.now()),
                    streams(identity->streams(), identity->streams_current()),
                    or_dash(identity->last_error())});
  }
  return head(status) + render_table(rows) + federation_table(status) + output_table(status);
}

std::string why_not_ready(const pb::GetStatusResponse& status) {
  if (status.standing() == pb::GetStatusResponse::WAITING) {
    return "another agent serves the sockets; this one takes them over once it is able to serve";
  }
  if (status.standing() == pb::GetStatusResponse::FOLLOWED) {
    return "another agent took over; this one serves who is connected";
  }
  if (!status.roots().empty()) return "";
  const std::string& why = status.ca().last_error();
  return "no trust bundle yet: " + (why.empty() ? "the CA has told none" : printable(why));
}

std::string status_json(const pb::GetStatusResponse& status) {
  Json roots = Json::array();
  for (const auto& root : status.roots()) {
    roots.push_back({{"serial", root.serial()},
                     {"subject", root.subject()},
                     {"not_after", time_json(root.not_after())}});
  }
  Json identities = Json::array();
  for (const auto* identity : worst_first(status)) identities.push_back(identity_json(*identity));
  Json federations = Json::array();
  for (const auto& federation : status.federations()) {
    federations.push_back(federation_json(federation));
  }
  Json outputs = Json::array();
  for (const auto& output : status.outputs()) outputs.push_back(output_json(output));
  return dump({{"version", 1},
               {"agent_version", status.version()},
               {"trust_domain", status.trust_domain()},
               {"healthy", !is_degraded(status)},
               {"ready", why_not_ready(status).empty()},
               {"not_ready", text_json(why_not_ready(status))},
               {"mesh_error", text_json(status.mesh_failure())},
               {"started_at", time_json(status.started_at())},
               {"now", time_json(status.now())},
               {"connections", status.connections()},
               {"ca",
                {{"name", status.ca().name()},
                 {"last_success_at", time_json(status.ca().last_success_at())},
                 {"last_error", text_json(status.ca().last_error())}}},
               {"state",
                {{"kind", status.state().sealed() ? "sealed" : "memory"},
                 {"last_error", text_json(status.state().last_error())}}},
               {"roots", roots},
               {"identities", identities},
               {"federations", federations},
               {"outputs", outputs}});
}

std::string rotation_text(const pb::RotateResponse& response, bool waited) {
  if (response.rotations().empty()) return "nothing to rotate: no identity is in use\n";
  std::string text;
  for (const auto& rotation : response.rotations()) text += rotation_line(rotation, waited);
  return text;
}

std::string rotation_json(const pb::RotateResponse& response) {
  Json rotations = Json::array();
  for (const auto& rotation : response.rotations()) {
    rotations.push_back({{"spiffe_id", rotation.spiffe_id()},
                         {"old_serial", text_json(rotation.old_serial())},
                         {"new_serial", text_json(rotation.new_serial())},
                         {"error", text_json(rotation.error())},
                         {"streams", rotation.streams()},
                         {"streams_current", rotation.streams_current()},
                         {"took_ms", rotation.took_ms()},
                         {"pending", rotation.pending()}});
  }
  return dump({{"version", 1}, {"rotations", rotations}});
}

}  // namespace nodepilot
