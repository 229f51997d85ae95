#include "agent/explain_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "agent/base/time.h"
#include "agent/cli_text.h"
#include "agent/rule_proposal.h"

namespace nodepilot {
namespace {

namespace pb = admin::v1;
using Json = nlohmann::ordered_json;

Time from_unix(std::int64_t seconds) { return Time(std::chrono::seconds(seconds)); }

std::string ago(std::int64_t now, std::int64_t then) {
  return to_text(from_unix(now) - from_unix(then)) + " ago";
}

std::string in(std::int64_t now, std::int64_t then) {
  return then <= now ? ago(now, then) : "in " + to_text(from_unix(then) - from_unix(now));
}

Json time_json(std::int64_t seconds) {
  return seconds == 0 ? Json(nullptr) : Json(to_rfc3339(from_unix(seconds)));
}

Json text_json(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

template <class Texts>
Json list_json(const Texts& texts) {
  Json list = Json::array();
  for (const auto& text : texts) list.push_back(text);
  return list;
}

template <class Texts>
std::string joined(const Texts& texts) {
  std::string line;
  for (const auto& text : texts) line += (line.empty() ? "" : "  ") + printable(text);
  return line.empty() ? "-" : line;
}

// Bytes that are no UTF-8 are replaced: dump() must not throw.
std::string dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string refusal_line(const pb::RecordedRefusal& refusal, std::int64_t now) {
  return "ref        " + refusal.ref() + "  " + printable(refusal.method()) + " refused " +
         counted(refusal.count(), "time") + ", first " + ago(now, refusal.first_at()) + ", last " +
         ago(now, refusal.last_at()) + ": " + refusal.code() + ", " + printable(refusal.cause()) +
         "\n";
}

std::string attestor_line(const pb::AttestorReport& attestor) {
  std::string what = attestor.error().empty() ? counted(attestor.selectors(), "selector")
                                              : "failed: " + printable(attestor.error());
  double milliseconds = static_cast<double>(attestor.took_us()) / 1000;
  return fmt::format("attestor   {}  {}  {:.2f}ms\n", printable(attestor.name()), what,
                     milliseconds);
}

std::string rules_table(const pb::ExplainResponse& response) {
  std::vector<std::vector<std::string>> rows;
  for (const pb::RuleReport& rule : response.rules()) {
    bool granted = !rule.granted().empty();
    rows.push_back({"rule " + printable(rule.rule()), granted ? "MATCH" : "MISS",
                    printable(granted ? rule.granted() : rule.miss())});
  }
  return render_table(rows);
}

std::string result(const pb::ExplainResponse& response) {
  if (is_granted(response)) {
    std::string text;
    for (const pb::RuleReport& rule : response.rules()) {
      if (!rule.granted().empty()) text += "  " + printable(rule.granted());
    }
    return "result   " + text + "\n";
  }
  if (response.rules().empty() && !response.attestation_error().empty()) {
    return "result     not identified: " + printable(response.attestation_error()) + "\n";
  }
  if (!response.has_proposal()) return "result     no identity\n";
  const pb::ProposedRule& rule = response.proposal();
  return "result     no identity.  To allow it, add under identities: in the configuration\n" +
         rule_yaml(rule.id(), {rule.match().begin(), rule.match().end()}, 13);
}

std::string subscriber_line(const pb::Subscriber& one) {
  std::string has = "was sent none yet";
  if (one.sent()) has = "was sent one, has not taken it yet";
  if (!one.serial().empty()) {
    has = short_serial(one.serial()) + (one.current() ? "  current" : "  behind");
  }
  return fmt::format("subscriber  pid {}  uid {}  {}  {}\n", one.pid(), one.uid(),
                     printable(one.api()), has);
}

std::string certificate_lines(const pb::CertificateReport& one, std::int64_t now) {
  std::string text = "certificate " + printable(one.subject()) + "  " + printable(one.key()) + "\n";
  text += "  issuer    " + printable(one.issuer()) + "\n";
  text += "  serial    " + printable(one.serial()) + "\n";
  text += "  valid     " + to_rfc3339(from_unix(one.not_before())) + " to " +
          to_rfc3339(from_unix(one.not_after())) + " (" +
          (one.not_after() < now ? "expired " : "ends ") + in(now, one.not_after()) + ")\n";
  if (!one.uri_sans().empty()) text += "  URI       " + joined(one.uri_sans()) + "\n";
  if (!one.dns_sans().empty()) text += "  DNS       " + joined(one.dns_sans()) + "\n";
  return text;
}

std::string identity_text(const pb::DescribedIdentity& identity, std::int64_t now) {
  const pb::IdentityStatus& status = identity.status();
  std::string text = "identity    " + printable(status.spiffe_id()) + "\n";
  text += "rule        " + printable(identity.rule()) + "\n";
  text += "match       " + joined(identity.match()) + "\n";
  text += "ttl         " + to_text(std::chrono::seconds(identity.ttl_seconds())) + "\n";
  if (status.rotates_at() != 0) text += "rotates     " + in(now, status.rotates_at()) + "\n";
  if (!status.last_error().empty()) {
    text += "failed      " + counted(status.failures(), "time") + ": " +
            printable(status.last_error()) + "\n";
  }
  if (identity.chain().empty()) text += "certificate none is held\n";
  for (const auto& one : identity.chain()) text += certificate_lines(one, now);
  for (const auto& one : identity.subscribers()) text += subscriber_line(one);
  for (const auto& one : identity.outputs()) {
    text += "output      " + printable(one.directory()) + "  " + short_serial(one.serial()) + "\n";
  }
  return text;
}

Json certificate_json(const pb::CertificateReport& one) {
  return {{"subject", one.subject()},
          {"issuer", one.issuer()},
          {"serial", one.serial()},
          {"not_before", time_json(one.not_before())},
          {"not_after", time_json(one.not_after())},
          {"uri_sans", list_json(one.uri_sans())},
          {"dns_sans", list_json(one.dns_sans())},
          {"key", one.key()}};
}

Json identity_json(const pb::DescribedIdentity& identity) {
  const pb::IdentityStatus& status = identity.status();
  Json chain = Json::array();
  for (const auto& one : identity.chain()) chain.push_back(certificate_json(one));
  Json subscribers = Json::array();
  for (const auto& one : identity.subscribers()) {
    subscribers.push_back({{"pid", one.pid()},
                           {"uid", one.uid()},
                           {"api", one.api()},
                           {"sent", one.sent()},
                           {"serial", text_json(one.serial())},
                           {"current", one.current()}});
  }
  Json outputs = Json::array();
  for (const auto& one : identity.outputs()) {
    outputs.push_back({{"directory", one.directory()}, {"serial", text_json(one.serial())}});
  }
  return {{"spiffe_id", status.spiffe_id()},
          {"rule", identity.rule()},
          {"match", list_json(identity.match())},
          {"ttl_seconds", identity.ttl_seconds()},
          {"rotates_at", time_json(status.rotates_at())},
          {"failures", status.failures()},
          {"last_error", text_json(status.last_error())},
          {"chain", chain},
          {"subscribers", subscribers},
          {"outputs", outputs}};
}

}  // namespace

bool is_granted(const pb::ExplainResponse& response) {
  return std::any_of(response.rules().begin(), response.rules().end(),
                     [](const pb::RuleReport& rule) { return !rule.granted().empty(); });
}

std::string explain_text(const pb::ExplainResponse& response) {
  std::string executable =
      response.executable().empty() ? "" : "  " + printable(response.executable());
  std::string text = fmt::format("pid {}{}  uid {}  gid {}\n", response.pid(), executable,
                                 response.uid(), response.gid());
  if (response.has_refusal()) text += refusal_line(response.refusal(), response.now());
  for (const auto& attestor : response.attestors()) text += attestor_line(attestor);
  text += "selectors  " + joined(response.selectors()) + "\n";
  if (response.selectors_left_out() > 0) {
    text +=
        fmt::format("           and {} more, which were not kept\n", response.selectors_left_out());
  }
  return text + rules_table(response) + result(response);
}

std::string explain_json(const pb::ExplainResponse& response) {
  Json attestors = Json::array();
  for (const auto& one : response.attestors()) {
    attestors.push_back({{"name", one.name()},
                         {"took_us", one.took_us()},
                         {"selectors", one.selectors()},
                         {"error", text_json(one.error())}});
  }
  Json rules = Json::array();
  for (const auto& rule : response.rules()) {
    rules.push_back({{"rule", rule.rule()},
                     {"granted", text_json(rule.granted())},
                     {"miss", text_json(rule.miss())}});
  }
  Json json = {{"version", 1},
               {"pid", response.pid()},
               {"uid", response.uid()},
               {"gid", response.gid()},
               {"executable", text_json(response.executable())},
               {"selectors", list_json(response.selectors())},
               {"selectors_left_out", response.selectors_left_out()},
               {"attestors", attestors},
               {"attestation_error", text_json(response.attestation_error())},
               {"rules", rules},
               {"granted", is_granted(response)},
               {"proposal", nullptr},
               {"refusal", nullptr}};
  if (response.has_proposal()) {
    json["proposal"] = {{"id", response.proposal().id()},
                        {"match", list_json(response.proposal().match())}};
  }
  if (response.has_refusal()) {
    const pb::RecordedRefusal& refusal = response.refusal();
    json["refusal"] = {{"ref", refusal.ref()},
                       {"method", refusal.method()},
                       {"code", refusal.code()},
                       {"cause", refusal.cause()},
                       {"first_at", time_json(refusal.first_at())},
                       {"last_at", time_json(refusal.last_at())},
                       {"count", refusal.count()}};
  }
  return dump(json);
}

std::string describe_text(const pb::DescribeResponse& response) {
  std::string text;
  for (const auto& identity : response.identities()) {
    text += (text.empty() ? "" : "\n") + identity_text(identity, response.now());
  }
  return text;
}

std::string describe_json(const pb::DescribeResponse& response) {
  Json identities = Json::array();
  for (const auto& identity : response.identities()) identities.push_back(identity_json(identity));
  return dump({{"version", 1}, {"now", time_json(response.now())}, {"identities", identities}});
}

}  // namespace nodepilot
