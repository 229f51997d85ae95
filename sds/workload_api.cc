#include "sds/workload_api.h"

#include <optional>
#include <string>
#include <utility>

#include "sds/caller_stream.h"
#include "sds/jwt_calls.h"
#include "sds/workload_reply.h"

namespace nodepilot {
namespace {

// What differs between the streams.
struct Profile {
  const char* method;
  const char* awaited;  // for errors
  bool hands_out_svids;
  bool hands_out_roots;

  bool (*has_content)(const WorkloadUpdate&);
  bool (*may_open)(const WorkloadUpdate&);  // besides: enough of it for a first message
  bool (*same)(const WorkloadUpdate&, const WorkloadUpdate&);
  Frame (*render)(const WorkloadUpdate&);
  bool (*parses)(std::string_view request);
};

template <class Request>
bool parses(std::string_view bytes) {
  return Request().ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

constexpr Profile kSvids{
    .method = "FetchX509SVID",
    .awaited = "certificate",
    .hands_out_svids = true,
    .hands_out_roots = true,
    .has_content = [](const WorkloadUpdate& u) { return u.bundle && !u.svids.empty(); },
    .may_open = [](const WorkloadUpdate& u) { return u.settled; },
    .same = same_svid_reply,
    .render = [](const WorkloadUpdate& u) { return make_frame(svid_reply(u), /*secret=*/true); },
    .parses = parses<X509SVIDRequest>,
};

constexpr Profile kX509Bundles{
    .method = "FetchX509Bundles",
    .awaited = "trust bundle",
    .hands_out_svids = false,
    .hands_out_roots = true,
    .has_content = [](const WorkloadUpdate& u) { return u.bundle != nullptr; },
    .may_open = [](const WorkloadUpdate&) { return true; },
    .same = same_bundles_reply,
    .render = [](const WorkloadUpdate& u) { return make_frame(bundles_reply(u)); },
    .parses = parses<X509BundlesRequest>,
};

constexpr Profile kJwtBundles{
    .method = "FetchJWTBundles",
    .awaited = "trust bundle",
    .hands_out_svids = false,
    .hands_out_roots = false,
    .has_content = kX509Bundles.has_content,
    .may_open = kX509Bundles.may_open,
    .same = same_jwt_bundles_reply,
    .render = [](const WorkloadUpdate& u) { return make_frame(jwt_bundles_reply(u)); },
    .parses = parses<JWTBundlesRequest>,
};

// The reply rendered last, while some stream still has it to send. Equal callers get one update
// from the store, so that a change is rendered once for all of their streams.
class ReplyCache {
 public:
  Frame render(const Profile& profile, const UpdatePtr& update) {
    auto bytes = bytes_.lock();
    if (bytes && update_.lock() == update) return {bytes, profile.hands_out_svids};
    Frame frame = profile.render(*update);
    update_ = update;
    bytes_ = frame.bytes;
    return frame;
  }

 private:
  std::weak_ptr<const WorkloadUpdate> update_;
  std::weak_ptr<const std::string> bytes_;
};

// One stream of any profile. Every message is the whole state (section 4.3).
class ProfileStream : public CallerStream {
 public:
  ProfileStream(const Profile& profile, std::shared_ptr<ReplyCache> cache,
                const ApiContext& context, Call& call)
      : CallerStream(context, call, profile.method,
                     profile.hands_out_svids ? Interest::kSvids : Interest::kBundles),
        profile_(profile),
        cache_(std::move(cache)),
        patience_(context.clock, [this] { lose_patience(); }) {}

  void on_message(std::string_view message) override {
    if (!profile_.parses(message)) {
      return end(Status(Code::kInvalidArgument,
                        std::string("the request is no valid message of ") + profile_.method));
    }
    identify();
  }

  void on_sent() override {
    if (!sent_ || !subscription()) return;
    UpdatePtr sent = sent_;  // what is told below may bring the next one
    if (profile_.hands_out_svids) {
      for (const HeldSvid& held : sent->svids) {
        subscription()->took(held.entry->id, held.svid->leaf().serial());
      }
    }
    if (profile_.hands_out_roots) subscription()->took_roots(sent->bundle);
  }

 private:
  void on_update(UpdatePtr update) override {
    if (profile_.has_content(*update)) {
      if (sent_ || profile_.may_open(*update)) return publish(std::move(update));
    } else if (sent_ || update->settled) {
      return give_up(*update);
    }
    if (!patience_.is_set()) patience_.set(context().clock.now() + context().first_svid_timeout);
  }

  void lose_patience() {
    if (ended()) return;
    UpdatePtr update = subscription()->latest();
    if (profile_.has_content(*update)) return publish(std::move(update));
    give_up(*update);
  }

  void publish(UpdatePtr update) {
    patience_.clear();
    bool news = !sent_ || !profile_.same(*sent_, *update);
    sent_ = std::move(update);
    if (!news) return;
    served(sent_->svids.size());
    if (profile_.hands_out_svids) {
      for (const HeldSvid& held : sent_->svids) subscription()->sent(held.entry->id);
    }
    if (profile_.hands_out_roots) subscription()->sent_roots();
    call().send(cache_->render(profile_, sent_));
  }

  // UNAVAILABLE, never PERMISSION_DENIED: a caller that is entitled shall come back.
  void give_up(const WorkloadUpdate& update) {
    patience_.clear();
    std::string what = std::string("no ") + profile_.awaited + " yet";
    std::string why = "the CA did not answer within " + to_text(context().first_svid_timeout);
    if (sent_) {
      what = std::string("no valid ") + profile_.awaited + " any more";
      why = "the last one has expired";
    }
    if (update.missing) why = update.missing->message;
    end(Status(Code::kUnavailable, what + ": " + why));
  }

  const Profile& profile_;
  const std::shared_ptr<ReplyCache> cache_;
  Alarm patience_;  // runs while the first message waits
  UpdatePtr sent_;  // what the client was last given
};

// A call that comes by a web page or a proxy lacks the header (Workload Endpoint section 3).
bool has_security_header(const Call& call) {
  auto values = call.metadata().all("workload.spiffe.io");
  return values.size() == 1 && values.front() == "true";
}

template <class Open>
Method method(const std::string& name, std::size_t max_request_bytes, Open open) {
  Method method;
  method.path = "/SpiffeWorkloadAPI/" + name;
  method.max_request_bytes = max_request_bytes;
  method.open = [open](Call& call) -> std::unique_ptr<CallHandler> {
    if (!has_security_header(call)) {
      return refuse(call, Status(Code::kInvalidArgument, "security header missing from request"));
    }
    return open(call);
  };
  return method;
}

}  // namespace

Methods workload_api_methods(const ApiContext& context) {
  Methods methods;
  for (const Profile* profile : {&kSvids, &kX509Bundles, &kJwtBundles}) {
    auto open = [context, profile, cache = std::make_shared<ReplyCache>()](Call& call) {
      return std::make_unique<ProfileStream>(*profile, cache, context, call);
    };
    methods.push_back(method(profile->method, context.workload_request_bytes, open));
  }
  methods.push_back(method("FetchJWTSVID", context.workload_request_bytes,
                           [context](Call& call) { return fetch_jwt_svid(context, call); }));
  methods.push_back(
      method("ValidateJWTSVID", context.workload_request_bytes,
             [context](Call& call) { return validate_jwt_svid_call(context, call); }));
  for (const char* name : {"FetchWITSVID", "FetchWITBundles"}) {
    methods.push_back(method(name, context.workload_request_bytes, [name](Call& call) {
      return refuse(call, Status(Code::kUnimplemented,
                                 std::string(name) + " is not supported: this agent serves the "
                                                     "X.509 and JWT profiles"));
    }));
  }
  return methods;
}

}  // namespace nodepilot
