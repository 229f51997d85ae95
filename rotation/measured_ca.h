// How long a CA takes to answer, and how it does.
#pragma once

#include <compare>
#include <map>
#include <type_traits>

#include "agent/base/duration_counts.h"
#include "rotation/certificate_authority.h"

namespace nodepilot {

struct CaAnswer {
  enum class Request { kSign, kBundle };

  Request request = Request::kSign;
  Code code = Code::kOk;

  friend auto operator<=>(const CaAnswer&, const CaAnswer&) = default;
};
using CaAnswers = std::map<CaAnswer, DurationCounts>;

inline void add(CaAnswers& sum, const CaAnswers& more) {
  for (const auto& [answer, took] : more) sum[answer] += took;
}

// Asks another CA and takes the time. Thread: one, so that it needs no lock: each job makes its own
// and hands the answers on.
class MeasuredCa final : public CertificateAuthority {
 public:
  // `ca` outlives it.
  explicit MeasuredCa(CertificateAuthority& ca) : ca_(ca) {}

  const char* name() const override { return ca_.name(); }
  expected<std::vector<Certificate>> sign(const Csr& csr, const Entry& entry) override {
    return measure(CaAnswer::Request::kSign, [&] { return ca_.sign(csr, entry); });
  }
  expected<TrustBundle> bundle() override {
    return measure(CaAnswer::Request::kBundle, [&] { return ca_.bundle(); });
  }

  const CaAnswers& answers() const { return answers_; }

 private:
  template <class Ask>
  std::invoke_result_t<Ask> measure(CaAnswer::Request request, Ask ask) {
    auto begin = std::chrono::steady_clock::now();
    auto result = ask();
    auto took = std::chrono::steady_clock::now() - begin;
    answers_[{request, result ? Code::kOk : result.error().code}].add(
        std::chrono::duration_cast<std::chrono::microseconds>(took));
    return result;
  }

  CertificateAuthority& ca_;
  CaAnswers answers_;
};

}  // namespace nodepilot
