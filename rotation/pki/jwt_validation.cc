#include "rotation/pki/jwt_validation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

#include "agent/base/strict_json.h"
#include "rotation/pki/jose.h"
#include "rotation/pki/jwt_svid.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxJsonDepth = 16;
// Of a token without kid; each try costs a signature check, and anybody may ask for it.
constexpr std::size_t kMaxTriedKeys = 16;
constexpr double kEndOf9999 = 253402300799;

constexpr std::array<std::string_view, 9> kAlgorithms = {
    "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512"};

tl::unexpected<Error> refuse(std::string why) {
  return fail(Code::kInvalidArgument, "JWT-SVID: " + std::move(why));
}

struct Parts {
  std::string_view header;
  std::string_view payload;
  std::string_view signature;
};

expected<Parts> split(std::string_view token) {
  if (token.size() > kMaxJwtBytes) {
    return refuse(fmt::format("{} bytes, at most {} are allowed", token.size(), kMaxJwtBytes));
  }
  auto first = token.find('.');
  auto last = token.rfind('.');
  if (std::count(token.begin(), token.end(), '.') != 2 || first == 0 || last == first + 1 ||
      last + 1 == token.size()) {
    return refuse("not a JWS in compact form: three parts of base64url with dots between");
  }
  return Parts{token.substr(0, first), token.substr(first + 1, last - first - 1),
               token.substr(last + 1)};
}

expected<Json> parse_part(std::string_view part, const char* name) {
  auto text = decode_base64url(part);
  if (!text) return refuse(fmt::format("the {} is not base64url without padding", name));
  auto json = parse_strict_json(*text, {.max_bytes = kMaxJwtBytes, .max_depth = kMaxJsonDepth});
  if (!json) return refuse(fmt::format("the {}: {}", name, json.error().message));
  if (!json->is_object()) return refuse(fmt::format("the {} is not a JSON object", name));
  return *std::move(json);
}

struct Header {
  std::string algorithm;
  std::optional<std::string> key_id;
};

// What else a header may say about keys (jwk, jku, x5u, x5c) is its sender's word alone.
expected<Header> read_header(const Json& json) {
  Json alg = json.value("alg", Json());
  std::string algorithm = alg.is_string() ? alg.get<std::string>() : "";
  if (std::find(kAlgorithms.begin(), kAlgorithms.end(), algorithm) == kAlgorithms.end()) {
    return refuse("alg is none of RS256, RS384, RS512, ES256, ES384, ES512, PS256, PS384, PS512");
  }
  if (auto typ = json.find("typ"); typ != json.end() && *typ != "JWT" && *typ != "JOSE") {
    return refuse("typ is neither JWT nor JOSE");
  }
  if (json.contains("crit")) return refuse("crit names extensions, and none is known here");
  Header header{std::move(algorithm), std::nullopt};
  if (auto kid = json.find("kid"); kid != json.end()) {
    if (!kid->is_string()) return refuse("kid is not a string");
    header.key_id = kid->get<std::string>();
  }
  return header;
}

expected<SpiffeId> read_subject(const Json& claims) {
  auto sub = claims.find("sub");
  if (sub == claims.end() || !sub->is_string()) return refuse("sub is missing or not a string");
  auto id = SpiffeId::parse(sub->get_ref<const std::string&>());
  if (!id) return refuse("sub: " + id.error().message);
  return id;
}

expected<std::vector<JwtAuthority>> find_keys(const Header& header, const TrustBundle& bundle) {
  const std::string& domain = bundle.trust_domain().name();
  std::vector<JwtAuthority> keys;
  for (const JwtAuthority& key : bundle.jwt_authorities()) {
    if (header.key_id && key.key_id() != *header.key_id) continue;
    if (key.signature_bytes(header.algorithm) != 0) {
      keys.push_back(key);
    } else if (header.key_id) {
      return refuse("alg " + header.algorithm + " does not fit the key that kid names");
    }
  }
  if (keys.empty()) {
    return refuse(header.key_id ? "no JWT key of " + domain + " has this kid"
                                : "no JWT key of " + domain + " fits alg " + header.algorithm);
  }
  if (keys.size() > kMaxTriedKeys) {
    return refuse(
        fmt::format("without kid {} JWT keys of {} would have to be tried; a kid is "
                    "needed",
                    keys.size(), domain));
  }
  return keys;
}

expected<void> check_signature(std::string_view token, std::string_view signature,
                               const Header& header, const TrustBundle& bundle) {
  auto bytes = decode_base64url(signature);
  if (!bytes) return refuse("the signature is not base64url without padding");
  for (const JwtAuthority& key : TRY(find_keys(header, bundle))) {
    // By length, DER and values that are cut short or extended never reach the arithmetic.
    if (bytes->size() == key.signature_bytes(header.algorithm) && key.has_signed(token)) return {};
  }
  return refuse("the signature is not by a key of " + bundle.trust_domain().name());
}

// NumericDate (RFC 7519 section 2), fractions included.
expected<Time> read_date(const Json& value, const char* name) {
  if (!value.is_number()) return refuse(fmt::format("{} is missing or not a number", name));
  auto seconds = value.get<double>();
  if (!(seconds >= 0 && seconds <= kEndOf9999)) {
    return refuse(fmt::format("{} is not a date between the years 1970 and 9999", name));
  }
  return Time(Duration(static_cast<Duration::rep>(std::floor(seconds * 1000))));
}

expected<void> check_dates(const Json& claims, Time now, Duration leeway) {
  Time end = TRY(read_date(claims.value("exp", Json()), "exp"));
  if (now >= end + leeway) return refuse("expired at " + to_rfc3339(end));
  if (auto nbf = claims.find("nbf"); nbf != claims.end()) {
    Time start = TRY(read_date(*nbf, "nbf"));
    if (now + leeway < start) return refuse("not valid before " + to_rfc3339(start));
  }
  return {};
}

expected<void> check_audience(const Json& claims, const std::string& audience) {
  Json aud = claims.value("aud", Json());
  if (aud.is_string()) aud = Json::array({aud});
  if (!aud.is_array() ||
      !std::all_of(aud.begin(), aud.end(), [](const Json& value) { return value.is_string(); })) {
    return refuse("aud is missing, or neither a string nor a list of strings");
  }
  if (std::find(aud.begin(), aud.end(), audience) == aud.end()) {
    return refuse("aud does not name the audience asked for");
  }
  return {};
}

}  // namespace

expected<ValidatedJwt> validate_jwt_svid(std::string_view token, const std::string& audience,
                                         const JwtBundleLookup& bundles, Time now,
                                         Duration leeway) {
  if (audience.empty()) return fail(Code::kInvalidArgument, "JWT-SVID: no audience to check for");
  Parts parts = TRY(split(token));
  Json header_json = TRY(parse_part(parts.header, "header"));
  Header header = TRY(read_header(header_json));
  Json claims = TRY(parse_part(parts.payload, "payload"));
  SpiffeId id = TRY(read_subject(claims));
  const TrustBundle* bundle = bundles(id.trust_domain());
  if (bundle == nullptr || bundle->trust_domain() != id.trust_domain()) {
    return refuse("trust domain " + id.trust_domain().name() + " is not trusted: no bundle of it");
  }
  TRY(check_signature(token, parts.signature, header, *bundle));
  TRY(check_dates(claims, now, leeway));
  TRY(check_audience(claims, audience));
  return ValidatedJwt{std::move(id), std::move(claims)};
}

}  // namespace nodepilot
