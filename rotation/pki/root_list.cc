#include "rotation/pki/root_list.h"

#include <array>
#include <set>
#include <string>

namespace nodepilot {
namespace {

constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
constexpr std::string_view kEnd = "-----END CERTIFICATE-----";

// Where the distributions keep their roots, in the order of trying.
constexpr std::array kSystemRoots = {
    "/etc/ssl/certs/ca-certificates.crt",                 // Debian, Alpine, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",                   // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",                             // openSUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  // RHEL
    "/etc/ssl/cert.pem",                                  // Alpine, BSD
};

tl::unexpected<Error> refuse(const std::string& why) {
  return fail(Code::kInvalidArgument, "roots: " + why);
}

}  // namespace

expected<std::vector<Certificate>> parse_root_list(std::string_view pem) {
  if (pem.size() > kMaxPemBytes) {
    return refuse(std::to_string(pem.size()) + " bytes of PEM, at most " +
                  std::to_string(kMaxPemBytes) + " are allowed");
  }
  std::vector<Certificate> roots;
  std::set<std::string> seen;
  std::string unusable;
  while (true) {
    std::size_t begin = pem.find(kBegin);
    if (begin == std::string_view::npos) break;
    pem.remove_prefix(begin);
    std::size_t end = pem.find(kEnd);
    if (end == std::string_view::npos) break;
    std::string_view block = pem.substr(0, end + kEnd.size());
    pem.remove_prefix(block.size());
    auto parsed = Certificate::parse_pem(block);
    if (!parsed) {
      unusable = "; the last of those skipped: " + parsed.error().message;
    } else if (seen.insert(parsed->front().der()).second) {
      roots.push_back(parsed->front());
    }
  }
  if (roots.empty()) return refuse("no usable \"" + std::string(kBegin) + "\" block" + unusable);
  return roots;
}

expected<std::filesystem::path> find_system_roots() {
  for (const char* path : kSystemRoots) {
    // Distributions link from one of these places to another.
    std::error_code missing;
    std::filesystem::path real = std::filesystem::canonical(path, missing);
    if (!missing) return real;
  }
  return fail(Code::kNotFound, "the operating system has no roots in any known place");
}

}  // namespace nodepilot
