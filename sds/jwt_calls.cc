#include "sds/jwt_calls.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rotation/jwt_svid_cache.h"
#include "rotation/pki/jwt_validation.h"
#include "sds/caller_call.h"
#include "sds/workload_reply.h"

namespace nodepilot {
namespace {

// How far a token's clock may be off ours.
constexpr Duration kLeeway = std::chrono::seconds(30);

// The entries that a token is wanted for.
std::vector<EntryPtr> choose(std::vector<EntryPtr> entries, const std::string& named) {
  if (!named.empty()) {
    std::erase_if(entries, [&](const EntryPtr& entry) { return entry->spiffe_id.str() != named; });
  }
  return entries;
}

class FetchJwtSvid : public CallerCall {
 public:
  FetchJwtSvid(const ApiContext& context, Call& call) : CallerCall(context, call, "FetchJWTSVID") {}

  void on_message(std::string_view message) override {
    if (!request_.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return end(Status(Code::kInvalidArgument, "the request is no valid JWTSVIDRequest"));
    }
    const auto& audience = request_.audience();
    if (audience.empty()) return end(Status(Code::kInvalidArgument, "audience must be specified"));
    if (std::count(audience.begin(), audience.end(), "") != 0) {
      return end(Status(Code::kInvalidArgument, "audience must not hold an empty value"));
    }
    if (!request_.spiffe_id().empty()) {
      auto named = SpiffeId::parse(request_.spiffe_id());
      if (!named) {
        return end(Status(Code::kInvalidArgument,
                          "invalid requested SPIFFE ID: " + named.error().message));
      }
    }
    identify();
  }

 private:
  void on_caller(const Attestation& attestation, const Selectors& selectors) override {
    const std::string& named = request_.spiffe_id();
    auto entries = choose(context().store.match(selectors), named);
    if (entries.empty()) {
      return end_without_identity(
          &attestation, named.empty() ? "no rule matches" : "no rule that matches gives " + named);
    }
    if (!context().jwt_svids) {
      return end(Status(Code::kUnimplemented, "the CA of this agent signs no JWT-SVIDs"));
    }
    // All places first: an answer may come at once.
    for (const EntryPtr& entry : entries) answers_.push_back({entry, std::nullopt});
    for (std::size_t i = 0; i < entries.size() && !ended(); ++i) {
      context().jwt_svids->fetch(
          entries[i], {request_.audience().begin(), request_.audience().end()},
          while_open([this, i](const expected<JwtSvid>& svid) { answer(i, svid); }));
    }
  }

  void answer(std::size_t place, const expected<JwtSvid>& svid) {
    answers_[place].svid = svid;
    bool complete = std::all_of(answers_.begin(), answers_.end(),
                                [](const Answer& one) { return one.svid.has_value(); });
    if (complete) reply();
  }

  // What could be signed, even if something else could not.
  void reply() {
    std::vector<HeldJwt> held;
    std::optional<Error> failure;
    for (Answer& one : answers_) {
      if (*one.svid) {
        held.push_back({one.entry, **std::move(one.svid)});
      } else if (!failure) {
        failure = one.svid->error();
      }
    }
    if (held.empty()) {
      Code code = failure->code == Code::kInvalidArgument ? failure->code : Code::kUnavailable;
      return end(Status(code, "could not fetch JWT-SVID: " + failure->message));
    }
    served(held.size());
    call().send(make_frame(jwt_svid_reply(held), /*secret=*/true));
    end(Status());
  }

  struct Answer {
    EntryPtr entry;
    std::optional<expected<JwtSvid>> svid;
  };

  JWTSVIDRequest request_;
  std::vector<Answer> answers_;
};

// Anybody who can be identified may have a token checked: public keys are no secret. Federated
// trust domains count only for callers whose entries federate with them.
class ValidateJwtSvid : public CallerCall {
 public:
  ValidateJwtSvid(const ApiContext& context, Call& call)
      : CallerCall(context, call, "ValidateJWTSVID") {}

  void on_message(std::string_view message) override {
    if (!request_.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return end(Status(Code::kInvalidArgument, "the request is no valid ValidateJWTSVIDRequest"));
    }
    if (request_.audience().empty()) {
      return end(Status(Code::kInvalidArgument, "audience must be specified"));
    }
    if (request_.svid().empty()) {
      return end(Status(Code::kInvalidArgument, "svid must be specified"));
    }
    identify();
  }

 private:
  void on_caller(const Attestation&, const Selectors& selectors) override {
    const IdentityStore& store = context().store;
    if (!store.bundle()) {
      return end(Status(Code::kUnavailable, "no trust bundle yet: the CA has not answered"));
    }
    auto bundles = store.federated_with(store.match(selectors));
    bundles.insert_or_assign(store.bundle()->trust_domain(), store.bundle());
    context().workers.run(
        [request = request_, bundles = std::move(bundles), now = context().clock.now()] {
          auto find = [&](const TrustDomain& trust_domain) {
            auto known = bundles.find(trust_domain);
            return known == bundles.end() ? nullptr : known->second.get();
          };
          return validate_jwt_svid(request.svid(), request.audience(), find, now, kLeeway);
        },
        while_open([this](const expected<ValidatedJwt>& result) { reply(result); }));
  }

  void reply(const expected<ValidatedJwt>& result) {
    if (!result) return end(Status(Code::kInvalidArgument, result.error().message));
    auto message = validated_reply(*result);
    if (!message) return end(Status(message.error()));
    served(0);
    call().send(make_frame(*message));
    end(Status());
  }

  ValidateJWTSVIDRequest request_;
};

}  // namespace

std::unique_ptr<CallHandler> fetch_jwt_svid(const ApiContext& context, Call& call) {
  return std::make_unique<FetchJwtSvid>(context, call);
}

std::unique_ptr<CallHandler> validate_jwt_svid_call(const ApiContext& context, Call& call) {
  return std::make_unique<ValidateJwtSvid>(context, call);
}

}  // namespace nodepilot
