#include "agent/mesh_status_text.h"

#include <algorithm>

#include "agent/cli_text.h"

namespace nodepilot {
namespace {

namespace pb = admin::v1;
using Rows = std::vector<std::vector<std::string>>;
using Sources = std::vector<const pb::PlaintextSource*>;

constexpr std::size_t kMaxNamed = 2;    // in a verdict
constexpr std::size_t kMaxListed = 20;  // of a port
// By which Envoy's count of its own uptime may be late.
constexpr std::int64_t kUptimeLag = 10;

std::string ago(std::int64_t now, std::int64_t then) {
  return to_text(std::chrono::seconds(now - then)) + " ago";
}

std::string shown(const pb::PlaintextSource& source) {
  return printable(source.address()) + (source.own_tls() ? " (TLS of its own)" : "");
}

// Of one port, who was seen last first.
Sources sources_of(const pb::GetPlaintextResponse& told, const PortStatus& port) {
  Sources out;
  for (const auto& source : told.sources()) {
    if (source.workload() == port.workload && source.port() == port.port) out.push_back(&source);
  }
  return out;
}

// "10.0.0.9, 10.0.0.7 and 3 more, last 12s ago": whom Envoy's counts speak of.
std::string who_of(const pb::GetPlaintextResponse& told, Sources sources,
                   std::optional<std::chrono::seconds> uptime) {
  if (uptime) {
    std::int64_t start = told.now() - uptime->count() - kUptimeLag;
    std::erase_if(sources, [=](const auto* source) { return source->last_at() < start; });
  }
  if (sources.empty()) return "";
  std::string who;
  std::size_t named = std::min(sources.size(), kMaxNamed);
  for (std::size_t i = 0; i < named; ++i) {
    bool is_last = i + 1 == sources.size() && i > 0;
    who += (i == 0 ? "" : is_last ? " and " : ", ") + shown(*sources[i]);
  }
  if (sources.size() > named) who += " and " + std::to_string(sources.size() - named) + " more";
  return who + ", last " + ago(told.now(), sources.front()->last_at());
}

std::vector<std::string> row_of(const PortStatus& port, const EnvoyReport& report,
                                const pb::GetPlaintextResponse& told) {
  std::vector<std::string> row = {port.workload, std::to_string(port.port),
                                  mesh::to_string(port.mode), port.decided_by};
  if (!report) {
    row.insert(row.end(), {"-", "-", "cannot tell: " + printable(report.error().message)});
    return row;
  }
  auto counted_at = report->ports.find(port.port);
  mesh::Traffic seen = counted_at == report->ports.end() ? mesh::Traffic() : counted_at->second;
  std::string who = who_of(told, sources_of(told, port), report->uptime);
  row.insert(row.end(), {mesh::share(seen.mutual, seen), mesh::share(seen.plaintext, seen),
                         mesh::advice(port.mode, seen, report->uptime, who)});
  return row;
}

void add_sources(const pb::GetPlaintextResponse& told, const PortStatus& port, Rows& rows) {
  Sources sources = sources_of(told, port);
  for (std::size_t i = 0; i < std::min(sources.size(), kMaxListed); ++i) {
    const pb::PlaintextSource& source = *sources[i];
    rows.push_back({port.workload, std::to_string(port.port), shown(source),
                    std::to_string(source.times()), ago(told.now(), source.first_at()),
                    ago(told.now(), source.last_at())});
  }
  if (sources.size() <= kMaxListed) return;
  rows.push_back({port.workload, std::to_string(port.port),
                  std::to_string(sources.size() - kMaxListed) + " more"});
}

std::string table_of_sources(const pb::GetPlaintextResponse& told,
                             const std::vector<PortStatus>& ports) {
  Rows rows = {{"WORKLOAD", "PORT", "PLAINTEXT FROM", "TIMES", "FIRST", "LAST"}};
  for (const PortStatus& port : ports) {
    // The others refuse it, or are meant to have it.
    if (port.mode == mesh::MtlsMode::kPermissive) add_sources(told, port, rows);
  }
  std::string text = rows.size() == 1 ? "" : "\n" + render_table(rows);
  for (const auto& [workload, dropped] : told.dropped()) {
    text += printable(workload) + ": " + std::to_string(dropped) +
            " times who was seen longest ago was dropped, for at most " +
            std::to_string(told.most_per_workload()) + " are kept\n";
  }
  return text + "sources are noted since the agent began, " + ago(told.now(), told.since()) + "\n";
}

}  // namespace

std::string mesh_status_text(const std::vector<PortStatus>& ports,
                             const std::map<std::string, EnvoyReport>& reports,
                             const expected<pb::GetPlaintextResponse>& plaintext) {
  Rows rows = {{"WORKLOAD", "PORT", "MODE", "DECIDED BY", "MTLS", "PLAINTEXT", "VERDICT"}};
  pb::GetPlaintextResponse told = plaintext.value_or(pb::GetPlaintextResponse());
  for (const PortStatus& port : ports) {
    rows.push_back(row_of(port, reports.at(port.workload), told));
  }
  std::string text = render_table(rows);
  if (plaintext) return text + table_of_sources(told, ports);
  return text + "who speaks plaintext is not known: " + printable(plaintext.error().message) + "\n";
}

}  // namespace nodepilot
