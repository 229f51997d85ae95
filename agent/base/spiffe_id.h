// SPIFFE IDs and trust domains: values that cannot exist invalid.
// Grammar: SPIFFE-ID sections 2.1 to 2.4. Parsed bytewise: nothing is trimmed, folded or
// normalised. Thread: any (immutable).
#pragma once

#include <compare>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

inline constexpr std::size_t kMaxSpiffeIdBytes = 2048;
inline constexpr std::size_t kMaxTrustDomainBytes = 255;

class TrustDomain {
 public:
  // Accepts the bare name, "example.org". kInvalidArgument says which rule was broken.
  static expected<TrustDomain> parse(std::string_view name);

  const std::string& name() const { return name_; }
  // The trust domain's own SPIFFE ID: "spiffe://example.org".
  std::string id() const { return "spiffe://" + name_; }

  friend auto operator<=>(const TrustDomain&, const TrustDomain&) = default;

 private:
  explicit TrustDomain(std::string name) : name_(std::move(name)) {}
  std::string name_;
};

class SpiffeId {
 public:
  // Accepts the whole URI. kInvalidArgument says which rule was broken.
  static expected<SpiffeId> parse(std::string_view uri);

  // The ID of `path` ("/ns/shop/sa/web", or empty) in `trust_domain`.
  static expected<SpiffeId> make(const TrustDomain& trust_domain, std::string_view path);

  const std::string& str() const { return uri_; }
  TrustDomain trust_domain() const;
  // Empty, or "/" and what follows.
  std::string_view path() const { return std::string_view(uri_).substr(path_start_); }
  bool has_path() const { return path_start_ < uri_.size(); }

  friend bool operator==(const SpiffeId& a, const SpiffeId& b) { return a.uri_ == b.uri_; }
  friend auto operator<=>(const SpiffeId& a, const SpiffeId& b) { return a.uri_ <=> b.uri_; }

 private:
  SpiffeId(std::string uri, std::size_t path_start)
      : uri_(std::move(uri)), path_start_(path_start) {}
  std::string uri_;
  std::size_t path_start_;
};

}  // namespace nodepilot
