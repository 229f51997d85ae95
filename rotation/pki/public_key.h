// Public keys: which are accepted, and how they get into CSRs and certificates cheaply.
// For the .cc files of this room only.
#pragma once

#include <openssl/types.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "agent/base/result.h"

namespace nodepilot {

// Accepts EC keys on P-256 or P-384, given by name, and RSA of 2048 to 4096 bits. Explicit curve
// parameters and giant RSA keys are how a hostile certificate burns CPU.
expected<void> check_key_kind(const EVP_PKEY* key);

inline constexpr std::size_t kP256PointBytes = 65;
using P256Point = std::array<std::uint8_t, kP256PointBytes>;
// The uncompressed point; empty if `key` is of another kind.
std::optional<P256Point> p256_point(const EVP_PKEY* key);

// SubjectPublicKeyInfo, DER.
expected<std::string> encode_public_key(const EVP_PKEY* key);

// Puts an encoded key into a CSR or certificate that is being made. X509_set_pubkey() and
// X509_REQ_set_pubkey() would run the encoder and then the decoder, at many times the cost of the
// signature; the price here is that the object made cannot tell its key until it is parsed.
expected<void> set_public_key(X509_PUBKEY* slot, const std::string& encoded);

}  // namespace nodepilot
