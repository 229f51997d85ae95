#include "rotation/ca/istiod/istiod_answer.h"

#include <fmt/format.h>

#include <algorithm>

namespace nodepilot {
namespace {

using istio::v1::auth::IstioCertificateRequest;
using istio::v1::auth::IstioCertificateResponse;

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(Code::kDataLoss, "the answer's cert_chain: " + why);
}

expected<std::vector<Certificate>> read_element(const std::string& pem, int number) {
  auto certificates = Certificate::parse_pem(pem);
  if (certificates) return certificates;
  return refuse(fmt::format("element {}: {}", number + 1, certificates.error().message));
}

}  // namespace

IstioCertificateRequest make_istiod_request(const Csr& csr, const Entry& entry,
                                            const IstiodOptions& options) {
  IstioCertificateRequest request;
  request.set_csr(csr.pem());
  request.set_validity_duration(entry.ttl.count());
  auto set = [&](const char* key, const std::string& value) {
    (*request.mutable_metadata()->mutable_fields())[key].set_string_value(value);
  };
  if (!options.cert_signer.empty()) set("CertSigner", options.cert_signer);
  if (options.ask_as == IstiodOptions::AskAs::kNodeAgent) {
    set("ImpersonatedIdentity", entry.spiffe_id.str());
  }
  return request;
}

expected<IstiodAnswer> read_istiod_answer(const IstioCertificateResponse& response) {
  constexpr int kMaxElements = static_cast<int>(kMaxChainLength) + 1;
  int count = response.cert_chain_size();
  if (count < 2) {
    return refuse(fmt::format("{} element{}; a leaf and the roots are the least", count,
                              count == 1 ? "" : "s"));
  }
  if (count > kMaxElements) {
    return refuse(fmt::format("{} elements, at most {} are allowed", count, kMaxElements));
  }
  IstiodAnswer answer;
  for (int i = 0; i < count - 1; ++i) {
    auto links = TRY(read_element(response.cert_chain(i), i));
    answer.chain.insert(answer.chain.end(), links.begin(), links.end());
    if (answer.chain.size() > kMaxChainLength) {
      return refuse(fmt::format("more than {} certificates before the roots", kMaxChainLength));
    }
  }
  answer.roots = TRY(read_element(response.cert_chain(count - 1), count - 1));
  return answer;
}

expected<void> check_kubernetes_id(const SpiffeId& id) {
  std::string_view rest = id.path();
  auto take_segment = [&] {  // a SPIFFE ID has no empty ones
    rest.remove_prefix(std::min<std::size_t>(rest.size(), 1));
    std::string_view segment = rest.substr(0, rest.find('/'));
    rest.remove_prefix(segment.size());
    return segment;
  };
  bool has_namespace = take_segment() == "ns" && !take_segment().empty();
  bool has_account = take_segment() == "sa" && !take_segment().empty();
  if (has_namespace && has_account && rest.empty()) return {};
  return fail(Code::kInvalidArgument, "must be " + id.trust_domain().id() +
                                          "/ns/NAMESPACE/sa/ACCOUNT for the CA to look up, got " +
                                          id.str());
}

}  // namespace nodepilot
