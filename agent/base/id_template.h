// A SPIFFE ID with places that the caller's own selectors fill: "/ns/{k8s:ns}/sa/{k8s:sa}".
// Thread: any (immutable).
#pragma once

#include <compare>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/selector.h"
#include "agent/base/spiffe_id.h"

namespace nodepilot {

class IdTemplate {
 public:
  // Whether `text` is meant as a template rather than as an ID, which can hold no brace.
  static bool is_meant(std::string_view text) { return text.find('{') != text.npos; }

  // `path` begins with a slash. A place takes the whole of a segment, so that two callers whose
  // values differ can never get one ID.
  static expected<IdTemplate> parse(const TrustDomain& trust_domain, std::string_view path);

  // The ID of who has `found`. kFailedPrecondition if a place has no value, or more than one, or
  // one that is no single path segment (SPIFFE-ID section 2.2): nothing is escaped or changed.
  expected<SpiffeId> fill(const Selectors& found) const;

  // Whether some caller could get `id`. Literal parts are compared, values are not judged.
  bool fits(const SpiffeId& id) const;

  // One of those, with "x" in every place.
  SpiffeId sample() const;

  SelectorKeys places() const;
  const TrustDomain& trust_domain() const { return trust_domain_; }
  // As it was written, with the trust domain: "spiffe://td/ns/{k8s:ns}".
  const std::string& str() const { return text_; }

  friend bool operator==(const IdTemplate& a, const IdTemplate& b) { return a.text_ == b.text_; }
  friend auto operator<=>(const IdTemplate& a, const IdTemplate& b) { return a.text_ <=> b.text_; }

 private:
  using Segment = std::variant<std::string, SelectorKey>;

  IdTemplate(TrustDomain trust_domain, std::string_view path)
      : trust_domain_(std::move(trust_domain)), text_(trust_domain_.id() + std::string(path)) {}

  std::string sample_path() const;

  TrustDomain trust_domain_;
  std::string text_;
  std::vector<Segment> segments_;
};

}  // namespace nodepilot
