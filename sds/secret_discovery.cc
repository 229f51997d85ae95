#include "sds/secret_discovery.h"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include "agent/base/log.h"
#include "sds/caller_stream.h"
#include "sds/secret_session.h"

namespace nodepilot {
namespace {

std::string random_nonce() {
  std::uint64_t bits = 0;
  if (getentropy(&bits, sizeof(bits)) != 0) std::terminate();  // only a bad pointer fails
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(bits));
  return text.data();
}

// One StreamSecrets. Unlike the Workload API it never gives up: an Envoy without its secret waits
// by itself, and a stream that ends would only be opened again.
class SecretStream : public CallerStream {
 public:
  SecretStream(const ApiContext& context, Call& call)
      : CallerStream(context, call, "StreamSecrets"), session_(random_nonce) {}

  void start() { identify(); }

  void on_message(std::string_view message) override {
    if (ended()) return;
    envoy::service::discovery::v3::DiscoveryRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return end(Status(Code::kInvalidArgument, "the request is no valid DiscoveryRequest"));
    }
    expected<SecretVerdict> verdict = session_.on_request(request);
    if (!verdict) return end(Status(verdict.error()));
    report(*verdict, request.type_url());
    push();
  }

  void on_sent() override {
    session_.on_sent();
    push();
  }

 private:
  void on_update(UpdatePtr update) override {
    served(update->svids.size());
    session_.on_update(std::move(update));
    push();
  }

  void push() {
    if (ended()) return;
    std::optional<SecretResponse> response = session_.next();
    if (!response) return;
    for (const SentIdentity& identity : response->identities) {
      subscription()->sent(identity.entry_id);
    }
    call().send(make_frame(response->message, /*secret=*/!response->identities.empty()));
  }

  void report(const SecretVerdict& verdict, const std::string& type_url) {
    switch (verdict.kind) {
      case SecretVerdict::Kind::kSubscription:
        return;
      case SecretVerdict::Kind::kAck:
        for (const SentIdentity& identity : verdict.identities) {
          subscription()->took(identity.entry_id, identity.serial);
        }
        return;
      case SecretVerdict::Kind::kNack:
        return log::warn("secrets rejected by client", {{"pid", call().peer()->pid()},
                                                        {"uid", call().peer()->uid()},
                                                        {"version", verdict.version},
                                                        {"rejected", session_.rejected()},
                                                        {"detail", verdict.detail}});
      case SecretVerdict::Kind::kStale:
        return log::debug("request with an old nonce ignored", {{"pid", call().peer()->pid()}});
      case SecretVerdict::Kind::kOtherType:
        if (std::exchange(other_type_logged_, true)) return;
        return log::warn("request for another type ignored",
                         {{"pid", call().peer()->pid()}, {"type_url", type_url.substr(0, 256)}});
    }
  }

  SecretSession session_;
  bool other_type_logged_ = false;
};

Method method(const std::string& name, Method::Requests requests, std::size_t max_request_bytes) {
  Method method;
  method.path = "/envoy.service.secret.v3.SecretDiscoveryService/" + name;
  method.requests = requests;
  method.max_request_bytes = max_request_bytes;
  method.open = [name](Call& call) {
    return refuse(call,
                  Status(Code::kUnimplemented, name + " is not supported: use StreamSecrets"));
  };
  return method;
}

}  // namespace

Methods secret_discovery_methods(const ApiContext& context) {
  Method stream = method("StreamSecrets", Method::Requests::kMany, context.sds_request_bytes);
  stream.open = [context](Call& call) {
    auto handler = std::make_unique<SecretStream>(context, call);
    handler->start();
    return handler;
  };
  return {stream, method("DeltaSecrets", Method::Requests::kMany, context.sds_request_bytes),
          method("FetchSecrets", Method::Requests::kOne, context.sds_request_bytes)};
}

}  // namespace nodepilot
