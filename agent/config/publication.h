// How our own trust domain's bundle is published: `bundle_endpoint` in the configuration.
// Thread: any (a value).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <variant>

#include "agent/base/entry.h"

namespace nodepilot {

// https_web: a Web PKI certificate for the endpoint's host.
struct CertificateFiles {
  std::filesystem::path certificate_file;
  std::filesystem::path key_file;
};

struct Publication {
  std::string address;  // to listen on, IPv4 or IPv6
  std::uint16_t port = 0;
  // https_spiffe: the ID of an X509-SVID that our own CA gives the endpoint.
  std::variant<CertificateFiles, SpiffeId> profile;
  std::string path = "/";
  std::chrono::seconds refresh_hint = std::chrono::minutes(5);
};

// The rule for the endpoint's own SVID, and what it asks of a caller. Nobody else can match it: no
// attestor yields its selector, and the configuration allows it to no other rule.
Selectors endpoint_selectors();
Entry endpoint_entry(const SpiffeId& id, std::chrono::seconds ttl);

}  // namespace nodepilot
