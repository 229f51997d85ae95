#include "sds/secret_discovery.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "agent/base/log.h"
#include "sds/caller_files.h"
#include "sds/caller_stream.h"
#include "sds/delta_secret_session.h"
#include "sds/secret_session.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxShown = 256;

std::string random_nonce() {
  std::uint64_t bits = 0;
  if (getentropy(&bits, sizeof(bits)) != 0) std::terminate();  // only a bad pointer fails
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(bits));
  return text.data();
}

// What the calls of this service have in common: a session that is fed with what the client says
// and with what it may see.
template <class Session>
class SecretCall : public CallerStream {
 public:
  SecretCall(const ApiContext& context, const SecretOptions& options, SecretFiles& files,
             Call& call, const char* method)
      : CallerStream(context, call, method),
        session_(options, random_nonce),
        files_(files, options, [this] { refresh_files(); }) {}

 protected:
  // Something was said or has changed.
  virtual void proceed() = 0;

  expected<SecretVerdict> take(std::string_view message) {
    typename Session::Request request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return fail(Code::kInvalidArgument, "the request is no valid discovery request");
    }
    auto verdict = TRY(session_.on_request(request));
    if (subscription()) look_for_files(*subscription()->latest());
    return verdict;
  }

  // The frame of a response, which is about to be sent.
  Frame frame(const typename Session::Response& response) {
    for (const SentIdentity& identity : response.identities) {
      subscription()->sent(identity.entry_id);
    }
    if (response.roots) subscription()->sent_roots();
    return make_frame(response.message, response.holds_key);
  }

  // Once is enough to find out, and no client can fill the log with it.
  void report_absent() {
    const auto& absent = session_.ledger().absent();
    if (!absent || std::exchange(absent_logged_, true)) return;
    log::warn("secret not served", {{"pid", call().peer()->pid()},
                                    {"uid", call().peer()->uid()},
                                    {"name", absent->name.substr(0, kMaxShown)},
                                    {"cause", absent->why}});
  }

  Session& session() { return session_; }
  const Session& session() const { return session_; }

 private:
  void on_update(UpdatePtr update) override {
    served(update->svids.size());
    look_for_files(*update);
    session_.ledger().set_update(std::move(update));
    proceed();
  }

  void look_for_files(const WorkloadUpdate& update) {
    if (!files_.ask(session_.ledger().wanted().names, update.entries)) return;
    session_.ledger().set_files(files_.answers());
  }

  void refresh_files() {
    session_.ledger().set_files(files_.answers());
    proceed();
  }

  Session session_;
  CallerFiles files_;
  bool absent_logged_ = false;
};

// StreamSecrets and DeltaSecrets. Unlike the Workload API they never give up: an Envoy without its
// secret waits by itself, and a stream that ends would only be opened again.
template <class Session>
class SecretStream : public SecretCall<Session> {
 public:
  using SecretCall<Session>::SecretCall;
  using SecretCall<Session>::call;
  using SecretCall<Session>::session;

  void start() { this->identify(); }

  void on_message(std::string_view message) override {
    if (this->ended()) return;
    expected<SecretVerdict> verdict = this->take(message);
    if (!verdict) return this->end(Status(verdict.error()));
    report(*verdict);
    proceed();
  }

  void on_sent() override {
    session().ledger().on_sent();
    proceed();
  }

  std::size_t held() const override { return session().ledger().held(); }

 private:
  void proceed() override {
    if (this->ended()) return;
    if (auto response = session().next()) call().send(this->frame(*response));
    this->report_absent();
  }

  void report(const SecretVerdict& verdict) {
    switch (verdict.kind) {
      case SecretVerdict::Kind::kSubscription:
        return;
      case SecretVerdict::Kind::kAck:
        for (const SentIdentity& identity : verdict.identities) {
          this->subscription()->took(identity.entry_id, identity.serial);
        }
        if (verdict.roots) this->subscription()->took_roots(verdict.roots);
        return;
      case SecretVerdict::Kind::kNack:
        this->context().on_rejection();
        return log::warn("secrets rejected by client", {{"pid", call().peer()->pid()},
                                                        {"uid", call().peer()->uid()},
                                                        {"version", verdict.version},
                                                        {"rejected", session().ledger().rejected()},
                                                        {"detail", verdict.detail}});
      case SecretVerdict::Kind::kStale:
        return log::debug("answer with an old nonce", {{"pid", call().peer()->pid()}});
      case SecretVerdict::Kind::kOtherType:
        if (std::exchange(other_type_logged_, true)) return;
        return log::warn("request for another type ignored",
                         {{"pid", call().peer()->pid()}, {"type_url", verdict.detail}});
    }
  }

  bool other_type_logged_ = false;
};

// FetchSecrets: the first response of a stream, once all that is asked for is there or the wait has
// been long enough.
class SecretFetch : public SecretCall<SecretSession> {
 public:
  SecretFetch(const ApiContext& context, const SecretOptions& options, SecretFiles& files,
              Call& call)
      : SecretCall(context, options, files, call, "FetchSecrets"),
        patience_(this->context().clock, [this] { answer(); }) {}

  void on_message(std::string_view message) override {
    expected<SecretVerdict> verdict = take(message);
    if (!verdict) return end(Status(verdict.error()));
    if (verdict->kind == SecretVerdict::Kind::kOtherType) {
      return end(Status(Code::kInvalidArgument,
                        "type_url must be " + std::string(kSecretType) + " or left out"));
    }
    patience_.set(context().clock.now() + context().first_svid_timeout);
    identify();
  }

 private:
  void proceed() override {
    if (!session().ledger().waits()) answer();
  }

  void answer() {
    if (ended()) return;
    auto response = session().next();
    if (!response && session().ledger().waits()) return end(unavailable());
    report_absent();
    if (!response) response.emplace();
    // They mean something on a stream only.
    response->message.clear_version_info();
    response->message.clear_nonce();
    response->message.set_type_url(std::string(kSecretType));
    call().send(frame(*response));
    end(Status());
  }

  // Never PERMISSION_DENIED: a caller that is entitled shall come back.
  Status unavailable() {
    std::string why = "nothing of it came within " + to_text(context().first_svid_timeout);
    if (subscription() && subscription()->latest()->missing) {
      why = subscription()->latest()->missing->message;
    }
    return {Code::kUnavailable, "no secret yet: " + why};
  }

  Alarm patience_;
};

template <class Session>
Method stream_method(const char* name, const ApiContext& context, const SecretOptions& options,
                     SecretFiles& files) {
  Method method;
  method.path = std::string("/envoy.service.secret.v3.SecretDiscoveryService/") + name;
  method.requests = Method::Requests::kMany;
  method.max_request_bytes = context.sds_request_bytes;
  method.open = [context, &options, &files, name](Call& call) {
    auto handler = std::make_unique<SecretStream<Session>>(context, options, files, call, name);
    handler->start();
    return handler;
  };
  return method;
}

}  // namespace

Methods secret_discovery_methods(const ApiContext& context, const SecretOptions& options,
                                 SecretFiles& files) {
  Method fetch;
  fetch.path = "/envoy.service.secret.v3.SecretDiscoveryService/FetchSecrets";
  fetch.max_request_bytes = context.sds_request_bytes;
  fetch.open = [context, &options, &files](Call& call) {
    return std::make_unique<SecretFetch>(context, options, files, call);
  };
  return {stream_method<SecretSession>("StreamSecrets", context, options, files),
          stream_method<DeltaSecretSession>("DeltaSecrets", context, options, files),
          std::move(fetch)};
}

}  // namespace nodepilot
