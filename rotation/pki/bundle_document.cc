#include "rotation/pki/bundle_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/log.h"
#include "agent/base/strict_json.h"
#include "rotation/pki/jose.h"
#include "rotation/pki/openssl.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxKeys = 1000;
constexpr std::chrono::seconds kMaxRefreshHint = std::chrono::hours(24) * 365;

constexpr const char* kX509Use = "x509-svid";
constexpr const char* kJwtUse = "jwt-svid";

tl::unexpected<Error> refuse(std::string why) {
  return fail(Code::kInvalidArgument, std::move(why));
}

// The first certificate of x5c; what follows it is ignored (X509-SVID 6.2).
expected<Certificate> parse_root(const Json& jwk) {
  auto x5c = jwk.find("x5c");
  if (x5c == jwk.end() || !x5c->is_array() || x5c->empty() || !x5c->front().is_string()) {
    return refuse("x5c is missing or empty");
  }
  auto der = decode_base64(x5c->front().get_ref<const std::string&>());
  if (!der) return refuse("x5c is not base64");
  auto root = TRY(Certificate::parse_der(*der));
  if (!root.can_sign()) return refuse("x5c holds a certificate that cannot sign others");
  return root;
}

struct Keys {
  std::vector<Certificate> roots;
  std::vector<JwtAuthority> jwt_authorities;

  expected<void> add(const Json& jwk) {
    if (!jwk.is_object()) return refuse("it is not an object");
    Json use = jwk.value("use", Json());
    if (use == kX509Use) {
      roots.push_back(TRY(parse_root(jwk)));
      return {};
    }
    if (use == kJwtUse) return add(TRY(JwtAuthority::parse_jwk(jwk)));
    return refuse(use.is_string() ? "its use is " + quote(use.get<std::string>().substr(0, 40))
                                  : std::string("it has no use"));
  }
  expected<void> add(JwtAuthority authority) {
    for (const JwtAuthority& known : jwt_authorities) {
      if (known.key_id() != authority.key_id()) continue;
      return refuse("an earlier key has the same kid");
    }
    jwt_authorities.push_back(std::move(authority));
    return {};
  }
};

expected<std::optional<std::uint64_t>> parse_sequence(const Json& document) {
  auto sequence = document.find("spiffe_sequence");
  if (sequence == document.end()) return std::nullopt;
  if (sequence->is_number_unsigned()) return sequence->get<std::uint64_t>();
  return refuse("spiffe_sequence is not a whole number of 0 to 2^64-1");
}

expected<std::optional<std::chrono::seconds>> parse_refresh_hint(const Json& document) {
  auto hint = document.find("spiffe_refresh_hint");
  if (hint == document.end()) return std::nullopt;
  if (!hint->is_number_unsigned()) {
    return refuse("spiffe_refresh_hint is not a whole number of seconds");
  }
  auto longest = static_cast<std::uint64_t>(kMaxRefreshHint.count());
  return std::chrono::seconds(std::min(hint->get<std::uint64_t>(), longest));
}

expected<BundleDocument> parse_bundle(const TrustDomain& trust_domain, const Json& document) {
  if (!document.is_object()) return refuse("not a JSON object");
  auto list = document.find("keys");
  if (list == document.end() || !list->is_array()) {
    return refuse("keys is missing or not a list; an empty list would revoke every SVID");
  }
  if (list->size() > kMaxKeys) {
    return refuse(fmt::format("{} keys, at most {} are allowed", list->size(), kMaxKeys));
  }
  auto sequence = TRY(parse_sequence(document));
  Keys keys;
  std::vector<std::string> skipped;
  for (std::size_t i = 0; i < list->size(); ++i) {
    auto added = keys.add((*list)[i]);
    if (!added) skipped.push_back(fmt::format("keys[{}]: {}", i, added.error().message));
  }
  return BundleDocument{TrustBundle::foreign(trust_domain, keys.roots, keys.jwt_authorities),
                        sequence, std::nullopt, std::move(skipped)};
}

Json jwt_keys(const TrustBundle& bundle) {
  Json keys = Json::array();
  for (const JwtAuthority& authority : bundle.jwt_authorities()) {
    Json jwk = authority.jwk();
    jwk["use"] = kJwtUse;
    keys.push_back(std::move(jwk));
  }
  return keys;
}

Json bundle_json(const BundleDocument& document) {
  Json keys = Json::array();
  for (const Certificate& root : document.bundle.roots()) {
    Json jwk = public_jwk(X509_get0_pubkey(root.x509()));
    jwk["use"] = kX509Use;
    jwk["x5c"] = Json::array({encode_base64(root.der())});
    keys.push_back(std::move(jwk));
  }
  for (Json& jwk : jwt_keys(document.bundle)) keys.push_back(std::move(jwk));
  Json json = {{"keys", std::move(keys)}};
  if (document.sequence) json["spiffe_sequence"] = *document.sequence;
  return json;
}

std::string name_of(const TrustDomain& trust_domain) { return "bundle of " + trust_domain.name(); }

}  // namespace

expected<BundleDocument> parse_bundle_document(const TrustDomain& trust_domain,
                                               std::string_view json) {
  auto document =
      parse_strict_json(json, {.max_bytes = kMaxBundleDocumentBytes, .max_depth = kMaxDepth});
  if (!document) return fail_with(name_of(trust_domain), document.error());
  auto parsed = parse_bundle(trust_domain, *document);
  if (!parsed) return fail_with(name_of(trust_domain), parsed.error());
  auto hint = parse_refresh_hint(*document);
  if (!hint) return fail_with(name_of(trust_domain), hint.error());
  parsed->refresh_hint = *hint;
  return parsed;
}

std::string write_bundle_document(const BundleDocument& document) {
  Json json = bundle_json(document);
  if (document.refresh_hint) json["spiffe_refresh_hint"] = document.refresh_hint->count();
  return json.dump();
}

expected<BundleMap> parse_bundle_map(std::string_view json) {
  auto document =
      parse_strict_json(json, {.max_bytes = kMaxBundleMapBytes, .max_depth = kMaxDepth});
  if (!document) return fail_with("bundle map", document.error());
  Json domains = document->is_object() ? document->value("trust_domains", Json()) : Json();
  if (!domains.is_object()) return refuse("bundle map: trust_domains is missing or not an object");
  if (domains.size() > kMaxBundleMapDomains) {
    return refuse(fmt::format("bundle map: {} trust domains, at most {} are allowed",
                              domains.size(), kMaxBundleMapDomains));
  }
  BundleMap map;
  for (const auto& [name, bundle] : domains.items()) {
    auto trust_domain = TrustDomain::parse(name);
    if (!trust_domain) return fail_with("bundle map", trust_domain.error());
    auto parsed = parse_bundle(*trust_domain, bundle);
    if (!parsed) return fail_with("bundle map: " + name_of(*trust_domain), parsed.error());
    map.emplace(*std::move(trust_domain), *std::move(parsed));
  }
  return map;
}

std::string write_bundle_map(const BundleMap& map) {
  Json domains = Json::object();
  for (const auto& [trust_domain, document] : map) {
    domains[trust_domain.name()] = bundle_json(document);
  }
  return Json{{"trust_domains", std::move(domains)}}.dump();
}

std::string jwt_bundle_json(const TrustBundle& bundle) {
  return Json{{"keys", jwt_keys(bundle)}}.dump();
}

}  // namespace nodepilot
