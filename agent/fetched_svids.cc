#include "agent/fetched_svids.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "agent/base/log.h"
#include "agent/cli_text.h"

namespace nodepilot {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// Bytes of the DER SEQUENCE that `der` starts with; 0 if there is none or it is cut short.
std::size_t sequence_length(std::string_view der) {
  auto byte = [&](std::size_t i) { return static_cast<unsigned char>(der[i]); };
  if (der.size() < 2 || byte(0) != 0x30) return 0;
  std::size_t header = 2;
  std::size_t length = byte(1);
  if (length >= 0x80) {
    std::size_t length_bytes = length & 0x7f;
    // Three bytes of length hold 16 MiB, far above any certificate.
    if (length_bytes == 0 || length_bytes > 3 || der.size() < 2 + length_bytes) return 0;
    length = 0;
    for (std::size_t i = 0; i < length_bytes; ++i) length = length << 8 | byte(2 + i);
    header += length_bytes;
  }
  return header + length <= der.size() ? header + length : 0;
}

// The armour goes straight into a wiping buffer.
SecretBytes key_pem(std::string_view der) {
  SecretBytes pem;
  pem.reserve(der.size() * 3 / 2 + 100);
  auto append = [&](std::string_view text) { pem.insert(pem.end(), text.begin(), text.end()); };
  append("-----BEGIN PRIVATE KEY-----\n");
  for (std::size_t i = 0; i < der.size(); i += 3) {
    if (i > 0 && i % 48 == 0) append("\n");
    std::size_t count = std::min<std::size_t>(3, der.size() - i);
    unsigned bits = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      bits = bits << 8 | (j < count ? static_cast<unsigned char>(der[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      append(j <= count ? kBase64Digits.substr(bits >> (18 - 6 * j) & 63, 1) : "=");
    }
  }
  append("\n-----END PRIVATE KEY-----\n");
  return pem;
}

expected<TrustBundle> parse_bundle(const TrustDomain& trust_domain, std::string_view der) {
  return TrustBundle::create(trust_domain, TRY(parse_concatenated_der(der)));
}

expected<FetchedSvid> check_svid(const X509SVID& svid, Time now) {
  auto id = TRY(SpiffeId::parse(svid.spiffe_id()));
  auto chain = TRY(parse_concatenated_der(svid.x509_svid()));
  auto bundle = TRY(parse_bundle(id.trust_domain(), svid.bundle()));
  auto proven = TRY(verify_peer_chain(chain, bundle, now));
  if (proven != id) {
    return fail(Code::kDataLoss, "its certificate is that of " + quote(proven.str()));
  }
  auto key = TRY(PrivateKey::parse_pem(key_pem(svid.x509_svid_key())));
  if (!chain.front().has_key(key)) {
    return fail(Code::kDataLoss, "its key is not the one in its certificate");
  }
  return FetchedSvid{std::move(id), svid.hint(), std::move(chain), std::move(key),
                     std::move(bundle)};
}

// "2026-08-22 03:00:00 +0000 UTC", which scripts that read spire-agent's output expect.
std::string spire_time(Time time) {
  std::string text = to_rfc3339(time);
  text.pop_back();
  text[text.find('T')] = ' ';
  return text + " +0000 UTC";
}

std::string line(const std::string& label, const std::string& value) {
  return fmt::format("{:<24}{}\n", label + ":", value);
}

std::string validity_lines(const std::string& name, const Validity& validity) {
  return line(name + " Valid After", spire_time(validity.not_before)) +
         line(name + " Valid Until", spire_time(validity.not_after));
}

std::string numbered_lines(const std::string& name, const std::vector<Certificate>& certificates,
                           std::size_t first) {
  std::string text;
  for (std::size_t i = first; i < certificates.size(); ++i) {
    text += validity_lines(name + " #" + std::to_string(i + 1 - first), certificates[i].validity());
  }
  return text;
}

Json certificate_json(const Certificate& certificate) {
  return {{"serial", certificate.serial()},
          {"subject", certificate.subject()},
          {"not_before", to_rfc3339(certificate.validity().not_before)},
          {"not_after", to_rfc3339(certificate.validity().not_after)}};
}

Json list_json(const std::vector<Certificate>& certificates) {
  Json list = Json::array();
  for (const Certificate& certificate : certificates) list.push_back(certificate_json(certificate));
  return list;
}

SecretBytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

}  // namespace

expected<std::vector<Certificate>> parse_concatenated_der(std::string_view der) {
  std::vector<Certificate> certificates;
  while (!der.empty()) {
    std::size_t length = sequence_length(der);
    if (length == 0) return fail(Code::kDataLoss, "certificates are malformed or cut short");
    if (certificates.size() == kMaxPemCertificates) {
      return fail(Code::kResourceExhausted,
                  fmt::format("more than {} certificates", kMaxPemCertificates));
    }
    certificates.push_back(TRY(Certificate::parse_der(der.substr(0, length))));
    der.remove_prefix(length);
  }
  if (certificates.empty()) return fail(Code::kDataLoss, "a certificate is missing");
  return certificates;
}

expected<FetchedSvids> FetchedSvids::check(const X509SVIDResponse& response, Time now) {
  FetchedSvids fetched;
  if (response.svids().empty()) return fail(Code::kDataLoss, "the answer holds no SVID");
  std::set<std::string> hints;
  for (const X509SVID& svid : response.svids()) {
    if (!svid.hint().empty() && !hints.insert(svid.hint()).second) continue;
    auto good = check_svid(svid, now);
    if (!good) return fail_with("SVID " + quote(svid.spiffe_id().substr(0, 200)), good.error());
    fetched.svids.push_back(*std::move(good));
  }
  for (const auto& [domain, der] : response.federated_bundles()) {
    auto id = TRY(SpiffeId::parse(domain));
    auto bundle = parse_bundle(id.trust_domain(), der);
    if (!bundle) return fail_with("bundle of " + quote(domain.substr(0, 200)), bundle.error());
    fetched.federated.emplace(id.trust_domain(), *std::move(bundle));
  }
  return fetched;
}

std::string FetchedSvids::pretty(std::chrono::microseconds took) const {
  std::string text = fmt::format("Received {} after {:.1f}ms\n", counted(svids.size(), "svid"),
                                 static_cast<double>(took.count()) / 1000);
  for (const FetchedSvid& svid : svids) {
    text += "\n" + line("SPIFFE ID", svid.id.str());
    if (!svid.hint.empty()) text += line("Hint", printable(svid.hint));
    text += validity_lines("SVID", svid.chain.front().validity());
    text += numbered_lines("Intermediate", svid.chain, 1);
    text += numbered_lines("CA", svid.bundle.roots(), 0);
    for (const auto& [domain, bundle] : federated) {
      text += numbered_lines("[" + domain.name() + "] CA", bundle.roots(), 0);
    }
  }
  return text;
}

std::string FetchedSvids::json() const {
  Json list = Json::array();
  for (const FetchedSvid& svid : svids) {
    list.push_back({{"spiffe_id", svid.id.str()},
                    {"hint", svid.hint},
                    {"serial", svid.chain.front().serial()},
                    {"not_before", to_rfc3339(svid.chain.front().validity().not_before)},
                    {"not_after", to_rfc3339(svid.chain.front().validity().not_after)},
                    {"dns_names", svid.chain.front().dns_sans()},
                    {"chain", list_json(svid.chain)},
                    {"bundle", list_json(svid.bundle.roots())},
                    {"chain_pem", concatenated_pem(svid.chain)},
                    {"bundle_pem", svid.bundle.pem()}});
  }
  Json bundles = Json::object();
  for (const auto& [domain, bundle] : federated) bundles[domain.id()] = bundle.pem();
  Json whole = {{"version", 1}, {"svids", list}, {"federated_bundles", bundles}};
  // Bytes that are no UTF-8 are replaced: dump() must not throw.
  return whole.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string FetchedSvids::pem() const {
  std::string text;
  for (const FetchedSvid& svid : svids) text += concatenated_pem(svid.chain) + svid.bundle.pem();
  return text;
}

std::vector<FetchedSvids::File> FetchedSvids::files() const {
  std::vector<File> all;
  for (std::size_t i = 0; i < svids.size(); ++i) {
    std::string number = std::to_string(i);
    all.push_back({"svid." + number + ".key", 0600, svids[i].key.pkcs8_pem()});
    all.push_back({"svid." + number + ".pem", 0644, bytes_of(concatenated_pem(svids[i].chain))});
    all.push_back({"bundle." + number + ".pem", 0644, bytes_of(svids[i].bundle.pem())});
    std::size_t j = 0;
    for (const auto& [domain, bundle] : federated) {
      all.push_back(
          {fmt::format("federated_bundle.{}.{}.pem", i, j++), 0644, bytes_of(bundle.pem())});
    }
  }
  return all;
}

}  // namespace nodepilot
