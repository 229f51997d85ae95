#include "agent/admin.h"

#include <algorithm>
#include <vector>

#include "agent/admin_explain.h"
#include "agent/admin_plaintext.h"
#include "agent/admin_status.h"
#include "agent/base/log.h"
#include "proto/nodepilot/admin.pb.h"
#include "rotation/pki/bundle_document.h"

namespace nodepilot {
namespace {

namespace pb = admin::v1;

constexpr std::size_t kMaxRequestBytes = std::size_t{256} * 1024;
constexpr Duration kMaxWait = std::chrono::minutes(10);

class GetStatus : public CallHandler {
 public:
  GetStatus(const AdminContext& context, Call& call) : context_(context), call_(call) {}

  void on_message(std::string_view message) override {
    pb::GetStatusRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.finish(Status(Code::kInvalidArgument, "malformed request"));
    }
    call_.send(make_frame(agent_status(context_)));
    call_.finish(Status());
  }

 private:
  const AdminContext& context_;
  Call& call_;
};

class GetBundles : public CallHandler {
 public:
  GetBundles(const AdminContext& context, Call& call) : context_(context), call_(call) {}

  void on_message(std::string_view message) override {
    pb::GetBundlesRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.finish(Status(Code::kInvalidArgument, "malformed request"));
    }
    pb::GetBundlesResponse out;
    add(context_.store.bundle(), request.trust_domain(), out);
    for (const auto& [trust_domain, bundle] : context_.store.federated()) {
      add(bundle, request.trust_domain(), out);
    }
    if (out.bundles().empty()) return call_.finish(absent(request.trust_domain()));
    call_.send(make_frame(out));
    call_.finish(Status());
  }

 private:
  static void add(const BundlePtr& bundle, const std::string& wanted, pb::GetBundlesResponse& out) {
    if (!bundle || (!wanted.empty() && wanted != bundle->trust_domain().name())) return;
    auto& held = *out.add_bundles();
    held.set_trust_domain(bundle->trust_domain().name());
    held.set_document(write_bundle_document({.bundle = *bundle}));
  }

  Status absent(const std::string& wanted) const {
    if (wanted.empty() || wanted == context_.trust_domain) {
      return {Code::kUnavailable, "no trust bundle yet: the CA has not answered"};
    }
    return {Code::kNotFound, "no bundle of the trust domain " + quote(wanted.substr(0, 100)) +
                                 " is held; `nodepilot bundle show` lists those that are"};
  }

  const AdminContext& context_;
  Call& call_;
};

// Issues every asked identity anew and answers when all are issued and, if asked to wait, every
// open stream took its new SVID or the time is over.
class Rotate : public CallHandler {
 public:
  Rotate(const AdminContext& context, Call& call)
      : context_(context), call_(call), timeout_(context.clock, [this] { answer(); }) {}

  void on_message(std::string_view message) override {
    pb::RotateRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.finish(Status(Code::kInvalidArgument, "malformed request"));
    }
    auto entries = choose(request);
    if (!entries) return call_.finish(entries.error());
    log::info("rotation was asked for", {{"uid", call_.peer()->uid()},
                                         {"pid", call_.peer()->pid()},
                                         {"identities", entries->size()}});
    wait_ = std::clamp<Duration>(Duration(request.wait_ms()), Duration(0), kMaxWait);
    begin(*entries);
  }

 private:
  struct Item {
    EntryPtr entry;
    std::optional<RotationOutcome> outcome{};  // empty until issued or failed
    Duration took{0};
  };

  expected<std::vector<EntryPtr>> choose(const pb::RotateRequest& request) const {
    if (request.all() != request.spiffe_ids().empty()) {
      return fail(Code::kInvalidArgument, "name identities or ask for all, one of the two");
    }
    std::vector<EntryPtr> all = context_.store.identities();
    std::vector<EntryPtr> chosen;
    for (const EntryPtr& entry : all) {
      bool named = std::count(request.spiffe_ids().begin(), request.spiffe_ids().end(),
                              entry->spiffe_id.str()) > 0;
      bool in_use = context_.store.svid(entry->id) || context_.store.is_wanted(entry->id);
      if ((named || request.all()) && in_use) chosen.push_back(entry);
    }
    for (const std::string& id : request.spiffe_ids()) TRY(check_named(id, all, chosen));
    return chosen;
  }

  static expected<void> check_named(const std::string& id, const std::vector<EntryPtr>& all,
                                    const std::vector<EntryPtr>& chosen) {
    auto has_id = [&](const EntryPtr& entry) { return entry->spiffe_id.str() == id; };
    if (std::any_of(chosen.begin(), chosen.end(), has_id)) return {};
    if (std::any_of(all.begin(), all.end(), has_id)) {
      return fail(Code::kNotFound, id + " is not in use: it is issued when a workload asks for it");
    }
    return fail(Code::kNotFound, "no identity " + quote(id.substr(0, 100)) +
                                     " is configured or in use; `nodepilot status` lists them");
  }

  void begin(const std::vector<EntryPtr>& entries) {
    started_ = context_.clock.now();
    for (const EntryPtr& entry : entries) items_.push_back({.entry = entry});
    if (wait_ > Duration(0)) timeout_.set(started_ + wait_);
    changes_ = context_.store.on_change([this] { answer_if_done(); });
    // The call may be over before the CA has answered.
    std::weak_ptr<bool> alive = alive_;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      context_.rotator.rotate(entries[i]->id, [this, alive, i](RotationOutcome outcome) {
        if (alive.expired()) return;
        items_[i].outcome = std::move(outcome);
        items_[i].took = context_.clock.now() - started_;
        answer_if_done();
      });
    }
    answer_if_done();
  }

  bool taken(const Item& item) const {
    EntryState held = context_.store.state(item.entry->id);
    return item.outcome->error || held.streams_current >= held.streams;
  }

  void answer_if_done() {
    auto done = [&](const Item& item) {
      return item.outcome && (wait_ == Duration(0) || taken(item));
    };
    if (std::all_of(items_.begin(), items_.end(), done)) answer();
  }

  void answer() {
    if (answered_) return;
    answered_ = true;
    timeout_.clear();
    pb::RotateResponse out;
    for (const Item& item : items_) fill(item, *out.add_rotations());
    call_.send(make_frame(out));
    call_.finish(Status());
  }

  void fill(const Item& item, pb::Rotation& out) const {
    EntryState held = context_.store.state(item.entry->id);
    out.set_spiffe_id(item.entry->spiffe_id.str());
    if (!item.outcome) {
      out.set_pending(true);
      return;
    }
    const RotationOutcome& outcome = *item.outcome;
    if (outcome.before) out.set_old_serial(outcome.before->leaf().serial());
    if (outcome.fresh) out.set_new_serial(outcome.fresh->leaf().serial());
    if (outcome.error) out.set_error(outcome.error->message);
    out.set_streams(static_cast<std::uint32_t>(held.streams));
    out.set_streams_current(static_cast<std::uint32_t>(held.streams_current));
    out.set_took_ms(item.took.count());
  }

  const AdminContext& context_;
  Call& call_;
  Alarm timeout_;
  std::vector<Item> items_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::shared_ptr<void> changes_;
  Time started_{};
  Duration wait_{0};
  bool answered_ = false;
};

}  // namespace

Methods admin_methods(const AdminContext& context) {
  auto shared = std::make_shared<const AdminContext>(context);
  auto method = [&](const char* path, auto open) {
    return Method{.path = path, .max_request_bytes = kMaxRequestBytes, .open = std::move(open)};
  };
  return {
      method("/nodepilot.admin.v1.Admin/GetStatus",
             [shared](Call& call) { return std::make_unique<GetStatus>(*shared, call); }),
      method("/nodepilot.admin.v1.Admin/Rotate",
             [shared](Call& call) { return std::make_unique<Rotate>(*shared, call); }),
      method("/nodepilot.admin.v1.Admin/GetBundles",
             [shared](Call& call) { return std::make_unique<GetBundles>(*shared, call); }),
      method("/nodepilot.admin.v1.Admin/Explain",
             [shared](Call& call) { return explain_call(*shared, call); }),
      method("/nodepilot.admin.v1.Admin/Describe",
             [shared](Call& call) { return describe_call(*shared, call); }),
      method("/nodepilot.admin.v1.Admin/GetPlaintext",
             [shared](Call& call) { return plaintext_call(*shared, call); }),
  };
}

}  // namespace nodepilot
