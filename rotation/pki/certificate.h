// Parsed X.509 certificates, with their DER kept beside: what is parsed once is never parsed again.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"
#include "agent/base/spiffe_id.h"
#include "agent/base/time.h"
#include "rotation/pki/private_key.h"

namespace nodepilot {

inline constexpr std::size_t kMaxCertificateBytes = std::size_t{64} * 1024;
inline constexpr std::size_t kMaxChainLength = 10;
inline constexpr std::size_t kMaxPemBytes = std::size_t{1024} * 1024;
inline constexpr std::size_t kMaxPemCertificates = 100;

struct Validity {
  Time not_before;
  Time not_after;

  Duration lifetime() const { return not_after - not_before; }
  bool contains(Time t) const { return not_before <= t && t <= not_after; }
};

// Immutable; copies share. Thread: any.
class Certificate {
 public:
  // Exactly one DER certificate: trailing bytes are an error. So are more than
  // kMaxCertificateBytes, malformed extensions, and keys other than EC P-256, EC P-384 (by name)
  // and RSA of 2048 to 4096 bits.
  static expected<Certificate> parse_der(std::string_view der);
  // All certificates of a PEM text, in order; other blocks are an error, none at all too. Text
  // between blocks is ignored. At most kMaxPemBytes and kMaxPemCertificates.
  static expected<std::vector<Certificate>> parse_pem(std::string_view pem);

  const std::string& der() const;
  std::string pem() const;
  const std::string& serial() const;  // lower-case hex, no separators
  std::string subject() const;        // RFC 2253 text, for people
  std::string issuer() const;         // the same
  std::string key_kind() const;       // "EC P-256", "RSA 2048"
  const Validity& validity() const;
  // Every URI SAN, bytes as they stand in the certificate (they may hold NUL).
  const std::vector<std::string>& uri_sans() const;
  const std::vector<std::string>& dns_sans() const;
  bool has_other_sans() const;  // IP addresses, e-mail addresses, names of any other kind
  bool is_ca() const;           // basicConstraints cA
  bool can_sign() const;        // is_ca(), and keyUsage, if present, has keyCertSign
  bool is_self_signed() const;  // by name and by signature
  bool has_key(const PrivateKey& key) const;
  bool has_key_of(const Certificate& other) const;

  X509* x509() const;

  friend bool operator==(const Certificate& a, const Certificate& b) { return a.der() == b.der(); }

 private:
  struct Parsed;
  explicit Certificate(std::shared_ptr<const Parsed> parsed) : parsed_(std::move(parsed)) {}
  std::shared_ptr<const Parsed> parsed_;
};

// "DER DER DER": how the Workload API carries chains and bundles.
std::string concatenated_der(const std::vector<Certificate>& certificates);
std::string concatenated_pem(const std::vector<Certificate>& certificates);

}  // namespace nodepilot
