#include "rotation/pki/x509_svid.h"

#include <fmt/format.h>

#include <algorithm>

#include "rotation/pki/openssl.h"
#include "rotation/pki/path.h"

namespace nodepilot {
namespace {

constexpr std::uint32_t kServerAndClient = XKU_SSL_SERVER | XKU_SSL_CLIENT;

tl::unexpected<Error> refuse(std::string why) {
  return fail(Code::kFailedPrecondition, std::move(why));
}

bool is_critical(const Certificate& certificate, int nid) {
  int place = X509_get_ext_by_NID(certificate.x509(), nid, -1);
  return place >= 0 && X509_EXTENSION_get_critical(X509_get_ext(certificate.x509(), place)) == 1;
}

expected<void> check_length(const std::vector<Certificate>& chain) {
  if (chain.empty()) return refuse("the chain is empty");
  if (chain.size() <= kMaxChainLength) return {};
  return refuse(fmt::format("the chain has {} certificates, at most {} are allowed", chain.size(),
                            kMaxChainLength));
}

// The rules for validators: X509-SVID 5.2.
expected<SpiffeId> check_leaf(const Certificate& leaf) {
  if (leaf.uri_sans().size() != 1) {
    return refuse(fmt::format("the leaf has {} URI SANs; an X509-SVID has exactly one",
                              leaf.uri_sans().size()));
  }
  auto id = SpiffeId::parse(leaf.uri_sans().front());
  if (!id) return refuse("the leaf's URI SAN is no SPIFFE ID: " + id.error().message);
  if (!id->has_path()) return refuse("the leaf's SPIFFE ID " + id->str() + " has no path");
  if (leaf.is_ca()) return refuse("the leaf is a CA certificate (basicConstraints CA:TRUE)");
  std::uint32_t flags = X509_get_extension_flags(leaf.x509());
  std::uint32_t usage = X509_get_key_usage(leaf.x509());
  if ((flags & EXFLAG_KUSAGE) != 0 && (usage & (KU_KEY_CERT_SIGN | KU_CRL_SIGN)) != 0) {
    return refuse("the leaf's keyUsage has keyCertSign or cRLSign, which are for CAs");
  }
  return *std::move(id);
}

expected<void> check_names(const Certificate& leaf, const X509Svid::Expectation& expectation) {
  SpiffeId id = TRY(check_leaf(leaf));
  if (id != expectation.id) {
    return refuse("the leaf is for " + id.str() + ", asked for was " + expectation.id.str());
  }
  const auto& asked = expectation.dns_names;
  for (const std::string& name : leaf.dns_sans()) {
    if (std::find(asked.begin(), asked.end(), name) == asked.end()) {
      return refuse("the leaf has a DNS SAN that was not asked for: " + name);
    }
  }
  if (leaf.has_other_sans()) {
    return refuse("the leaf has a SAN that was not asked for: an IP or e-mail address or other");
  }
  return {};
}

// The rules for issuers: X509-SVID 4.3 and 4.4, and 2 for a leaf without a subject.
expected<void> check_profile(const Certificate& leaf) {
  std::uint32_t flags = X509_get_extension_flags(leaf.x509());
  if ((flags & EXFLAG_KUSAGE) == 0 ||
      (X509_get_key_usage(leaf.x509()) & KU_DIGITAL_SIGNATURE) == 0) {
    return refuse("the leaf's keyUsage lacks digitalSignature");
  }
  if (!is_critical(leaf, NID_key_usage)) return refuse("the leaf's keyUsage is not critical");
  if ((flags & EXFLAG_XKUSAGE) != 0 &&
      (X509_get_extended_key_usage(leaf.x509()) & kServerAndClient) != kServerAndClient) {
    return refuse("the leaf's extendedKeyUsage lacks serverAuth or clientAuth");
  }
  if (X509_NAME_entry_count(X509_get_subject_name(leaf.x509())) == 0 &&
      !is_critical(leaf, NID_subject_alt_name)) {
    return refuse("the leaf has no subject, but its subjectAltName is not critical");
  }
  return {};
}

// The instant at which the path must hold: now, or, for a CA whose clock is ahead, a little later.
expected<Time> validation_time(const Validity& validity, const X509Svid::Expectation& expectation) {
  Time now = expectation.now;
  if (validity.not_after <= now) {
    return refuse(fmt::format("the leaf expired at {}; it is {}", to_rfc3339(validity.not_after),
                              to_rfc3339(now)));
  }
  if (validity.contains(now)) return now;
  Time ahead = now + expectation.max_clock_skew;
  if (validity.contains(ahead)) return ahead;
  return refuse(
      fmt::format("the leaf is valid from {} to {}; it is {}, and at most {} of clock "
                  "skew is allowed",
                  to_rfc3339(validity.not_before), to_rfc3339(validity.not_after), to_rfc3339(now),
                  to_text(expectation.max_clock_skew)));
}

expected<void> check_bundle(const SpiffeId& id, const TrustBundle& bundle) {
  if (id.trust_domain() == bundle.trust_domain()) return {};
  return refuse(id.str() + " is held against the trust bundle of another trust domain, " +
                bundle.trust_domain().name());
}

}  // namespace

expected<X509Svid> X509Svid::verified(PrivateKey key, const std::vector<Certificate>& chain,
                                      const TrustBundle& bundle, const Expectation& expectation) {
  TRY(check_length(chain));
  TRY(check_bundle(expectation.id, bundle));
  auto leaf = std::find_if(chain.begin(), chain.end(),
                           [&](const Certificate& candidate) { return candidate.has_key(key); });
  if (leaf == chain.end()) return refuse("no certificate of the chain is for our key");
  TRY(check_names(*leaf, expectation));
  TRY(check_profile(*leaf));
  Time at = TRY(validation_time(leaf->validity(), expectation));
  ValidPath path = TRY(validate_path(*leaf, chain, bundle, at));
  return X509Svid(expectation.id, std::move(key), std::move(path.sent), std::move(path.root));
}

expected<SpiffeId> verify_peer_chain(const std::vector<Certificate>& chain,
                                     const TrustBundle& bundle, Time now) {
  TRY(check_length(chain));
  SpiffeId id = TRY(check_leaf(chain.front()));
  TRY(check_bundle(id, bundle));
  TRY(validate_path(chain.front(), chain, bundle, now));
  return id;
}

expected<SpiffeId> verify_server_chain(const std::vector<Certificate>& chain,
                                       const TrustBundle& bundle, Time now) {
  SpiffeId id = TRY(verify_peer_chain(chain, bundle, now));
  if (X509_check_purpose(chain.front().x509(), X509_PURPOSE_SSL_SERVER, 0) == 1) return id;
  return refuse("the leaf's keyUsage or extendedKeyUsage does not allow it to be a TLS server's");
}

}  // namespace nodepilot
