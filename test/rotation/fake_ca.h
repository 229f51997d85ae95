// A certificate authority in memory that fails and lies when told to.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "agent/base/clock.h"
#include "rotation/certificate_authority.h"

namespace nodepilot {

// Thread: that of the test.
class FakeCa : public CertificateAuthority {
 public:
  // Signs for trust domain "td". `clock` outlives it.
  explicit FakeCa(const Clock& clock);

  const char* name() const override { return "fake"; }
  expected<std::vector<Certificate>> sign(const Csr& csr, const Entry& entry) override;
  expected<TrustBundle> bundle() override;

  // Every sign() and bundle() fails from now on, until recover().
  void fail_with(Code code) { failure_ = code; }
  void recover() { failure_.reset(); }
  // Only sign() for this SPIFFE ID fails.
  void refuse(const std::string& spiffe_id) { refused_.insert(spiffe_id); }
  // Leaves carry this ID, whatever was asked for.
  void answer_with_id(const std::string& spiffe_id) { wrong_id_ = spiffe_id; }
  // How far off notBefore is: negative is back-dated.
  void start_life_at(Duration offset) { start_offset_ = offset; }
  // Leaves live so long, whatever was asked for.
  void shorten_life(std::optional<Duration> life) { life_ = life; }

  // Signs with a new root from now on. bundle() tells the new one alone.
  void change_root();
  // bundle() goes on telling the root of now alone, whatever signs.
  void hide_new_roots() { told_ = std::vector{roots_.back()}; }
  // bundle() tells every root there was, or these.
  void tell_all_roots() { told_ = roots_; }
  void tell_roots(std::vector<Certificate> roots) { told_ = std::move(roots); }
  // Signs with the root before the last from now on.
  void sign_with_older_root() {
    std::swap(roots_.back(), roots_.at(roots_.size() - 2));
    std::swap(keys_.back(), keys_.at(keys_.size() - 2));
  }
  // bundle() tells these from now on.
  void tell_jwt_keys(std::vector<JwtAuthority> keys) { jwt_keys_ = std::move(keys); }

  std::size_t signs() const { return signs_; }
  std::size_t issued() const { return issued_; }  // of signs(), what ended in a certificate
  std::size_t roots() const { return roots_.size(); }
  std::size_t signs_for(const std::string& spiffe_id) const;
  std::size_t bundle_calls() const { return bundle_calls_; }
  Certificate root() const { return roots_.back(); }

 private:
  const Clock& clock_;
  std::vector<PrivateKey> keys_;
  std::vector<Certificate> roots_;  // the last one signs
  std::optional<std::vector<Certificate>> told_;
  std::vector<JwtAuthority> jwt_keys_;
  std::optional<Code> failure_;
  std::set<std::string> refused_;
  std::optional<std::string> wrong_id_;
  std::optional<Duration> life_;
  Duration start_offset_{0};
  std::size_t signs_ = 0;
  std::size_t issued_ = 0;
  std::map<std::string, std::size_t> signs_for_;
  std::size_t bundle_calls_ = 0;
};

}  // namespace nodepilot
