#include "agent/admin_explain.h"

#include "agent/admin_status.h"
#include "agent/base/log.h"
#include "agent/rule_proposal.h"
#include "proto/nodepilot/admin.pb.h"

namespace nodepilot {
namespace {

namespace pb = admin::v1;

void fill(const std::vector<Finding>& findings, pb::ExplainResponse& out) {
  for (const Finding& finding : findings) {
    auto& report = *out.add_attestors();
    report.set_name(finding.attestor);
    report.set_took_us(finding.took.count());
    report.set_selectors(static_cast<std::uint32_t>(finding.selectors));
    if (finding.failure) report.set_error(finding.failure->message);
  }
}

// What the rules say to who has `selectors`, and what they would have to say.
void judge(const EntrySet& entries, const Selectors& selectors, pb::ExplainResponse& out) {
  bool granted = false;
  for (const RuleVerdict& verdict : entries.explain(selectors)) {
    auto& rule = *out.add_rules();
    rule.set_rule(verdict.rule->name());
    rule.set_miss(verdict.miss);
    if (verdict.granted) rule.set_granted(verdict.granted->str());
    granted = granted || verdict.granted;
  }
  for (const Selector& selector : selectors) out.add_selectors(selector.str());
  auto path = values_of(selectors, {"unix", "path"});
  if (path.size() == 1) out.set_executable(std::string(path.front()));
  if (granted) return;
  if (auto proposal = propose_rule(selectors)) {
    out.mutable_proposal()->set_id(proposal->id);
    for (const Selector& selector : proposal->match) {
      out.mutable_proposal()->add_match(selector.str());
    }
  }
}

void fill_refusal(const Refusal& refusal, pb::ExplainResponse& out) {
  out.set_pid(refusal.pid);
  out.set_uid(refusal.process.uid);
  out.set_gid(refusal.process.gid);
  out.set_selectors_left_out(static_cast<std::uint32_t>(refusal.selectors_left_out));
  auto& record = *out.mutable_refusal();
  record.set_ref(refusal.ref);
  record.set_method(refusal.method);
  record.set_code(to_string(refusal.code));
  record.set_cause(refusal.cause);
  record.set_first_at(to_unix(refusal.first));
  record.set_last_at(to_unix(refusal.last));
  record.set_count(refusal.count);
  fill(refusal.findings, out);
}

class Explain : public CallHandler {
 public:
  Explain(const AdminContext& context, Call& call) : context_(context), call_(call) {}

  void on_message(std::string_view message) override {
    pb::ExplainRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.finish(Status(Code::kInvalidArgument, "malformed request"));
    }
    if (request.has_ref()) return explain_refusal(request.ref());
    if (request.has_pid()) return explain_process(request.pid());
    call_.finish(Status(Code::kInvalidArgument, "name a process or a reference"));
  }

 private:
  void explain_refusal(const std::string& ref) {
    const Refusal* refusal = context_.refusals.find(ref);
    if (refusal == nullptr) {
      const auto& bounds = context_.refusals.bounds();
      return call_.finish(
          Status(Code::kNotFound, "no refusal " + quote(ref.substr(0, 64)) + " is kept; the last " +
                                      std::to_string(bounds.records) + " are, at most " +
                                      std::to_string(bounds.records_per_uid) +
                                      " of one uid, and none from before the agent's start"));
    }
    pb::ExplainResponse out;
    fill_refusal(*refusal, out);
    if (refusal->code != Code::kPermissionDenied) out.set_attestation_error(refusal->cause);
    if (!refusal->selectors.empty()) judge(context_.store.entries(), refusal->selectors, out);
    answer(out);
  }

  // Whoever has that pid now: its pidfd sees to it that nobody else is looked at by mistake.
  void explain_process(pid_t pid) {
    auto peer = Peer::of_process(pid, context_.procfs);
    if (!peer) return call_.finish(Status(Code::kNotFound, peer.error().message));
    std::weak_ptr<bool> alive = alive_;
    context_.callers.identify(*peer, alive_,
                              [this, alive, peer = *peer](const Attestation& attestation) {
                                if (!alive.expired()) explain_attested(*peer, attestation);
                              });
  }

  void explain_attested(const Peer& peer, const Attestation& attestation) {
    pb::ExplainResponse out;
    out.set_pid(peer.pid());
    out.set_uid(peer.uid());
    out.set_gid(peer.gid());
    fill(attestation.findings, out);
    if (attestation.selectors) {
      judge(context_.store.entries(), *attestation.selectors, out);
    } else {
      out.set_attestation_error(attestation.selectors.error().message);
    }
    answer(out);
  }

  void answer(pb::ExplainResponse& out) {
    out.set_now(to_unix(context_.clock.now()));
    call_.send(make_frame(out));
    call_.finish(Status());
  }

  const AdminContext& context_;
  Call& call_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // an answer may come after our end
};

void fill_certificate(const Certificate& certificate, pb::CertificateReport& out) {
  out.set_subject(certificate.subject());
  out.set_issuer(certificate.issuer());
  out.set_serial(certificate.serial());
  out.set_not_before(to_unix(certificate.validity().not_before));
  out.set_not_after(to_unix(certificate.validity().not_after));
  for (const std::string& uri : certificate.uri_sans()) out.add_uri_sans(uri);
  for (const std::string& name : certificate.dns_sans()) out.add_dns_sans(name);
  out.set_key(certificate.key_kind());
}

class Describe : public CallHandler {
 public:
  Describe(const AdminContext& context, Call& call) : context_(context), call_(call) {}

  void on_message(std::string_view message) override {
    pb::DescribeRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.finish(Status(Code::kInvalidArgument, "malformed request"));
    }
    pb::DescribeResponse out;
    for (const EntryPtr& entry : context_.store.identities()) {
      if (entry->spiffe_id.str() == request.spiffe_id()) describe(entry, *out.add_identities());
    }
    if (out.identities().empty()) {
      return call_.finish(
          Status(Code::kNotFound, "no identity " + quote(request.spiffe_id().substr(0, 100)) +
                                      " is configured or in use; `nodepilot status` lists them"));
    }
    out.set_now(to_unix(context_.clock.now()));
    call_.send(make_frame(out));
    call_.finish(Status());
  }

 private:
  void describe(const EntryPtr& entry, pb::DescribedIdentity& out) const {
    EntryState held = context_.store.state(entry->id);
    fill_identity(context_, held, *out.mutable_status());
    out.set_rule(rule_of(*entry));
    for (const Selector& selector : entry->match) out.add_match(selector.str());
    for (const SelectorKey& key : entry->match_any) out.add_match(key.str() + ":*");
    out.set_ttl_seconds(entry->ttl.count());
    if (held.svid) {
      for (const Certificate& one : held.svid->chain()) fill_certificate(one, *out.add_chain());
      fill_certificate(held.svid->root(), *out.add_chain());
    }
    for (const SubscriberState& held_by : context_.store.subscribers_of(entry->id)) {
      if (held_by.who.pid == 0) continue;  // an output of ours
      auto& subscriber = *out.add_subscribers();
      subscriber.set_pid(held_by.who.pid);
      subscriber.set_uid(held_by.who.uid);
      subscriber.set_api(held_by.who.api);
      subscriber.set_sent(held_by.sent);
      subscriber.set_serial(held_by.serial);
      subscriber.set_current(held.svid && held_by.serial == held.svid->leaf().serial());
    }
    for (const OutputStatus& output : context_.outputs()) {
      if (output.spiffe_id == entry->spiffe_id.str()) fill_output(output, *out.add_outputs());
    }
  }

  // An identity of a template is named "RULE=ID".
  std::string rule_of(const Entry& entry) const {
    for (const EntryPtr& rule : context_.store.entries().rules()) {
      bool made = rule->id_template && entry.id.starts_with(rule->id + "=");
      if (rule->id == entry.id || made) return rule->name();
    }
    return entry.id;
  }

  const AdminContext& context_;
  Call& call_;
};

}  // namespace

std::unique_ptr<CallHandler> explain_call(const AdminContext& context, Call& call) {
  return std::make_unique<Explain>(context, call);
}

std::unique_ptr<CallHandler> describe_call(const AdminContext& context, Call& call) {
  return std::make_unique<Describe>(context, call);
}

}  // namespace nodepilot
