// Signs JWT-SVIDs with a key of its own, and fails and lies when told to.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/clock.h"
#include "rotation/jwt_signer.h"

namespace nodepilot {

// Thread: that of the test.
class FakeJwtSigner : public JwtSigner {
 public:
  // `clock` outlives it.
  explicit FakeJwtSigner(const Clock& clock)
      : clock_(clock), key_(JwtSigningKey::generate().value()) {}

  expected<JwtSvid> sign_jwt(const SpiffeId& id, const std::vector<std::string>& audience,
                             std::chrono::seconds ttl) override {
    ++signs_;
    if (failure_) return fail(*failure_, "fake JWT signer: told to fail");
    if (refused_ == id.str()) return fail(Code::kUnavailable, "fake JWT signer: told to refuse");
    Time now = clock_.now();
    const SpiffeId& subject = wrong_id_ ? *wrong_id_ : id;
    return sign_jwt_svid(key_, subject, wrong_audience_.value_or(audience), now, now + ttl);
  }

  void fail_with(Code code) { failure_ = code; }
  void recover() { failure_.reset(); }
  void refuse(const std::string& spiffe_id) { refused_ = spiffe_id; }
  void answer_with_id(const std::string& spiffe_id) {
    wrong_id_ = SpiffeId::parse(spiffe_id).value();
  }
  void answer_with_audience(std::vector<std::string> audience) {
    wrong_audience_ = std::move(audience);
  }
  // Signs with another key from now on, which no bundle has.
  void change_key() { key_ = JwtSigningKey::generate().value(); }

  const JwtAuthority& authority() const { return key_.authority(); }
  std::size_t signs() const { return signs_; }

 private:
  const Clock& clock_;
  JwtSigningKey key_;
  std::optional<Code> failure_;
  std::string refused_;
  std::optional<SpiffeId> wrong_id_;
  std::optional<std::vector<std::string>> wrong_audience_;
  std::size_t signs_ = 0;
};

}  // namespace nodepilot
