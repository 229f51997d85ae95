#include "agent/base/id_template.h"

#include <algorithm>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

tl::unexpected<Error> refuse(std::string_view path, const std::string& why) {
  return fail(Code::kInvalidArgument, "template " + quote(path.substr(0, 200)) + ": " + why);
}

tl::unexpected<Error> cannot_fill(const SelectorKey& place, const std::string& why) {
  return fail(Code::kFailedPrecondition, "{" + place.str() + "} " + why);
}

bool is_one_segment(std::string_view value) {
  static const TrustDomain any_domain = *TrustDomain::parse("any");
  // A slash would make two of it; anything else that is wrong shows in the ID.
  return value.find('/') == std::string_view::npos &&
         SpiffeId::make(any_domain, "/" + std::string(value)).has_value();
}

std::vector<std::string_view> split_path(std::string_view path) {
  std::vector<std::string_view> segments;
  while (!path.empty()) {
    path.remove_prefix(1);
    segments.push_back(path.substr(0, path.find('/')));
    path.remove_prefix(segments.back().size());
  }
  return segments;
}

expected<std::string_view> value_for(const SelectorKey& place, const Selectors& found) {
  auto values = values_of(found, place);
  if (values.empty()) return cannot_fill(place, "has no value");
  if (values.size() > 1) {
    return cannot_fill(place, "has " + std::to_string(values.size()) + " values, " +
                                  quote(values[0].substr(0, 100)) + " and " +
                                  quote(values[1].substr(0, 100)) + " among them");
  }
  std::string_view value = values.front();
  if (!is_one_segment(value)) {
    return cannot_fill(place, "is " + quote(value.substr(0, 100)) +
                                  ", which is no segment of a SPIFFE ID's path: a-z A-Z 0-9 . - _, "
                                  "neither \".\" nor \"..\"");
  }
  return value;
}

}  // namespace

expected<IdTemplate> IdTemplate::parse(const TrustDomain& trust_domain, std::string_view path) {
  if (!path.starts_with('/')) return refuse(path, "must begin with a slash");
  if (path.size() > kMaxSpiffeIdBytes) return refuse(path, "is too long for a SPIFFE ID");
  IdTemplate made(trust_domain, path);
  for (std::string_view segment : split_path(path)) {
    if (segment.find_first_of("{}") == std::string_view::npos) {
      made.segments_.emplace_back(std::string(segment));
      continue;
    }
    std::string_view key = segment.substr(1, segment.size() < 2 ? 0 : segment.size() - 2);
    bool is_place = segment.starts_with('{') && segment.ends_with('}') &&
                    key.find_first_of("{}") == std::string_view::npos;
    if (!is_place) {
      return refuse(path, "a place such as {k8s:ns} must be the whole of a segment, got " +
                              quote(segment.substr(0, 80)));
    }
    auto place = SelectorKey::parse(key);
    if (!place) return refuse(path, place.error().message);
    made.segments_.emplace_back(*std::move(place));
  }
  auto id = SpiffeId::make(trust_domain, made.sample_path());
  if (!id) return refuse(path, id.error().message);
  if (made.places().empty()) return refuse(path, "has no place such as {k8s:ns}");
  return made;
}

expected<SpiffeId> IdTemplate::fill(const Selectors& found) const {
  std::string path;
  for (const Segment& segment : segments_) {
    path += '/';
    if (const auto* place = std::get_if<SelectorKey>(&segment)) {
      path += TRY(value_for(*place, found));
    } else {
      path += std::get<std::string>(segment);
    }
  }
  auto id = SpiffeId::make(trust_domain_, path);
  if (!id) return fail(Code::kFailedPrecondition, id.error().message);
  return id;
}

bool IdTemplate::fits(const SpiffeId& id) const {
  auto found = split_path(id.path());
  auto fits_segment = [](const Segment& segment, std::string_view text) {
    const auto* literal = std::get_if<std::string>(&segment);
    return literal == nullptr || *literal == text;
  };
  return id.trust_domain() == trust_domain_ &&
         std::equal(segments_.begin(), segments_.end(), found.begin(), found.end(), fits_segment);
}

std::string IdTemplate::sample_path() const {
  std::string path;
  for (const Segment& segment : segments_) {
    const auto* literal = std::get_if<std::string>(&segment);
    path += "/" + (literal != nullptr ? *literal : "x");
  }
  return path;
}

SpiffeId IdTemplate::sample() const { return *SpiffeId::make(trust_domain_, sample_path()); }

SelectorKeys IdTemplate::places() const {
  SelectorKeys places;
  for (const Segment& segment : segments_) {
    if (const auto* place = std::get_if<SelectorKey>(&segment)) places.insert(*place);
  }
  return places;
}

}  // namespace nodepilot
