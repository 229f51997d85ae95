#include "rotation/ca/istiod/istiod_ca.h"

#include <utility>

#include "agent/base/log.h"
#include "rotation/ca/istiod/istiod_answer.h"

namespace nodepilot {
namespace {

using AskAs = IstiodOptions::AskAs;

constexpr Duration kRaceRetry = std::chrono::milliseconds(500);

// The CA says no more than that it refuses; these are all its checks.
std::string likely_causes(const IstiodOptions& options) {
  std::string token = "the token of " + options.token_file.string() +
                      " (expired, or its audience is not the CA's, istio-ca)";
  std::string cluster = "cluster_id (" + quote(options.cluster_id) + " is not known to the CA)";
  if (options.ask_as == AskAs::kSelf) return "; check " + token + " and " + cluster;
  return "; check, in this order: " + token + "; " + cluster +
         "; that the agent's service account is in the CA's CA_TRUSTED_NODE_ACCOUNTS; that a pod "
         "of "
         "that namespace and service account runs on this node";
}

}  // namespace

IstiodCa::IstiodCa(TrustDomain trust_domain, const IstiodOptions& options,
                   std::unique_ptr<TokenSource> tokens, std::function<Time()> now)
    : options_(options),
      now_(std::move(now)),
      tokens_(std::move(tokens)),
      roots_(std::move(trust_domain), options.root_file, options.trust_bundle_file, now_),
      client_(options) {
  if (options.certificate_file && options.key_file) {
    certificate_.emplace(*options.certificate_file, *options.key_file, now_);
  }
}

expected<std::vector<Certificate>> IstiodCa::sign(const Csr& csr, const Entry& entry) {
  const std::string what = "istiod: certificate for " + entry.spiffe_id.str();
  auto token = tokens_->token(entry);
  if (!token) return fail_with(what, token.error());
  auto server_roots = roots_.server_roots();
  if (!server_roots) return fail_with(what, server_roots.error());
  IstiodClient::Trust trust{*server_roots, certificate_ ? certificate_->read() : nullptr};

  auto request = make_istiod_request(csr, entry, options_);
  auto response = client_.create_certificate(request, *token, trust);
  if (!response) return fail_with(what, explain(entry, *token, std::move(response).error()));
  race_.passed(entry.spiffe_id);

  auto answer = read_istiod_answer(*response);
  if (!answer) return fail_with(what, answer.error());
  if (auto accepted = roots_.accept(answer->roots); !accepted) {
    return fail_with(what, accepted.error());
  }
  return std::move(answer->chain);
}

expected<TrustBundle> IstiodCa::bundle() {
  auto bundle = roots_.bundle();
  if (!bundle) return fail_with("istiod: trust bundle", bundle.error());
  return bundle;
}

Error IstiodCa::explain(const Entry& entry, const SecretBytes& token, Error error) {
  if (error.code != Code::kUnauthenticated) return error;
  if (options_.ask_as == AskAs::kNodeAgent && race_.may_pass(entry.spiffe_id, now_())) {
    error.code = Code::kUnavailable;
    error.retry_after = kRaceRetry;
    error.message += "; the CA may not have seen the pod yet: asked again";
    return error;
  }
  tokens_->refused(entry, token);
  error.message += likely_causes(options_);
  return error;
}

}  // namespace nodepilot
