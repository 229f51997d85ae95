#include "agent/config/federation.h"

#include <algorithm>

#include "agent/base/log.h"
#include "agent/config/entry.h"
#include "agent/config/listen.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxFederations = 100;
constexpr std::chrono::seconds kDefaultRefreshHint = std::chrono::minutes(5);
// Five of these pass between the publication of a key and its first use (JwtKeyring::Policy), as
// Federation 4.1 asks.
constexpr Duration kLongestRefreshHint = std::chrono::hours(1);

enum class Profile { kHttpsWeb, kHttpsSpiffe };

expected<Profile> parse_profile(std::string_view text) {
  if (text == "https_web") return Profile::kHttpsWeb;
  if (text == "https_spiffe") return Profile::kHttpsSpiffe;
  return fail(Code::kInvalidArgument,
              "must be https_web or https_spiffe, got " + quote(text.substr(0, 80)));
}

expected<SpiffeId> parse_endpoint_id(std::string_view text) {
  auto id = TRY(SpiffeId::parse(text));
  if (id.has_path()) return id;
  return fail(Code::kInvalidArgument,
              "must have a path, as in " + id.str() + "/endpoint: no server has the ID alone");
}

HttpsWeb decode_web(YamlMapping& section) {
  HttpsWeb web;
  section.read("ca_file", web.ca_file, parse_path);
  for (const char* key : {"endpoint_spiffe_id", "bundle_file"}) {
    if (section.find(key)) section.refuse(key, "is for the profile https_spiffe only");
  }
  return web;
}

std::optional<HttpsSpiffe> decode_spiffe(YamlMapping& section, const TrustDomain& trust_domain) {
  std::optional<SpiffeId> id;
  if (auto text = section.require("endpoint_spiffe_id")) text->read(id, parse_endpoint_id);
  std::optional<std::filesystem::path> bundle_file;
  section.read("bundle_file", bundle_file, parse_path);
  if (section.find("ca_file")) section.refuse("ca_file", "is for the profile https_web only");
  if (!id) return std::nullopt;
  bool serves_itself = id->trust_domain() == trust_domain;
  if (serves_itself && !section.find("bundle_file")) {
    section.refuse("bundle_file", "is missing: the first bundle of " + trust_domain.name() +
                                      ", to know the endpoint " + id->str() + " by");
  }
  if (!serves_itself && bundle_file) {
    section.refuse("bundle_file", "must not be given: the endpoint is of " +
                                      id->trust_domain().name() +
                                      " and known by that trust domain's bundle");
  }
  return HttpsSpiffe{*std::move(id), std::move(bundle_file)};
}

std::optional<Federation> decode_federation(YamlMapping section,
                                            const std::optional<TrustDomain>& own) {
  std::optional<TrustDomain> trust_domain;
  if (auto name = section.require("trust_domain")) name->read(trust_domain, TrustDomain::parse);
  if (trust_domain && trust_domain == own) {
    section.refuse("trust_domain",
                   "must be a foreign trust domain; " + quote(own->name()) + " is our own");
  }
  std::optional<Url> url;
  if (auto text = section.require("url")) text->read(url, Url::parse);
  std::optional<Profile> profile;
  if (auto text = section.require("profile")) text->read(profile, parse_profile);
  if (profile == Profile::kHttpsWeb) {
    HttpsWeb web = decode_web(section);
    if (!trust_domain || !url) return std::nullopt;
    return Federation{*trust_domain, *url, std::move(web)};
  }
  // Of an unknown profile these keys are at least known.
  auto spiffe = profile ? decode_spiffe(section, trust_domain.value_or(*TrustDomain::parse("-")))
                        : std::nullopt;
  for (const char* key : {"endpoint_spiffe_id", "bundle_file", "ca_file"}) section.find(key);
  if (!trust_domain || !url || !spiffe) return std::nullopt;
  return Federation{*trust_domain, *url, *std::move(spiffe)};
}

// An endpoint of another trust domain is known by that one's bundle, so we must hold it.
void check_endpoint(const YamlValue& item, const Federation& federation,
                    const std::vector<Federation>& all, const TrustDomain& own) {
  const auto* spiffe = std::get_if<HttpsSpiffe>(&federation.profile);
  if (!spiffe) return;
  TrustDomain endpoint = spiffe->endpoint_id.trust_domain();
  auto is_endpoint = [&](const Federation& f) { return f.trust_domain == endpoint; };
  if (endpoint == own || std::any_of(all.begin(), all.end(), is_endpoint)) return;
  item.refuse("the endpoint " + spiffe->endpoint_id.str() + " is of " + endpoint.name() +
              ", which is neither our trust domain nor one of those federated with");
}

expected<std::string> parse_url_path(std::string_view text) {
  auto url = Url::parse("https://h" + std::string(text));
  bool is_path = url && text.starts_with('/') && text.find('?') == std::string_view::npos;
  if (is_path) return std::string(text);
  return fail(Code::kInvalidArgument,
              "must be a URL's path such as / or /bundle, got " + quote(text.substr(0, 80)));
}

expected<std::chrono::seconds> parse_refresh_hint(std::string_view text) {
  auto hint = TRY(parse_duration(text, std::chrono::seconds(1), kLongestRefreshHint));
  return std::chrono::ceil<std::chrono::seconds>(hint);
}

std::optional<CertificateFiles> decode_certificate_files(YamlMapping& section) {
  std::optional<std::filesystem::path> certificate;
  std::optional<std::filesystem::path> key;
  if (auto file = section.require("certificate_file")) file->read(certificate, parse_path);
  if (auto file = section.require("key_file")) file->read(key, parse_path);
  if (section.find("spiffe_id")) {
    section.refuse("spiffe_id", "is for the profile https_spiffe only");
  }
  if (!certificate || !key) return std::nullopt;
  return CertificateFiles{*certificate, *key};
}

std::optional<SpiffeId> decode_spiffe_id(YamlMapping& section,
                                         const std::optional<TrustDomain>& own) {
  std::optional<SpiffeId> id;
  if (auto text = section.require("spiffe_id")) {
    text->read(id, [&](std::string_view t) { return parse_identity_id(t, own); });
  }
  for (const char* key : {"certificate_file", "key_file"}) {
    if (section.find(key)) section.refuse(key, "is for the profile https_web only");
  }
  return id;
}

}  // namespace

std::vector<Federation> decode_federations(const YamlValue& list,
                                           const std::optional<TrustDomain>& own) {
  std::vector<Federation> federations;
  std::vector<YamlValue> places;
  for (const YamlValue& item : list.items()) {
    auto federation = decode_federation(YamlMapping(item), own);
    if (!federation) continue;
    auto is_same = [&](const Federation& f) { return f.trust_domain == federation->trust_domain; };
    if (std::any_of(federations.begin(), federations.end(), is_same)) {
      item.refuse(quote(federation->trust_domain.name()) + " is listed twice");
    }
    federations.push_back(*std::move(federation));
    places.push_back(item);
  }
  for (std::size_t i = 0; own && i < federations.size(); ++i) {
    check_endpoint(places[i], federations[i], federations, *own);
  }
  if (federations.size() > kMaxFederations) {
    list.refuse("must hold at most " + std::to_string(kMaxFederations) + " trust domains, got " +
                std::to_string(federations.size()));
  }
  return federations;
}

std::optional<Publication> decode_bundle_endpoint(const YamlValue& value,
                                                  const std::optional<TrustDomain>& own) {
  YamlMapping section(value);
  std::optional<ListenAddress> listen;
  if (auto text = section.require("listen")) text->read(listen, parse_listen);
  std::string path = "/";
  section.read("path", path, parse_url_path);
  std::chrono::seconds refresh_hint = kDefaultRefreshHint;
  section.read("refresh_hint", refresh_hint, parse_refresh_hint);
  std::optional<Profile> profile;
  if (auto text = section.require("profile")) text->read(profile, parse_profile);
  std::optional<std::variant<CertificateFiles, SpiffeId>> certificate;
  if (profile == Profile::kHttpsWeb) certificate = decode_certificate_files(section);
  if (profile == Profile::kHttpsSpiffe) certificate = decode_spiffe_id(section, own);
  // Of an unknown profile these keys are at least known.
  for (const char* key : {"certificate_file", "key_file", "spiffe_id"}) section.find(key);
  if (!listen || !certificate) return std::nullopt;
  return Publication{listen->address, listen->port, *certificate, path, refresh_hint};
}

}  // namespace nodepilot
