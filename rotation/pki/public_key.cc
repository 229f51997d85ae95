#include "rotation/pki/public_key.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/objects.h>

#include <algorithm>

#include "rotation/pki/openssl.h"

namespace nodepilot {
namespace {

constexpr const char* kAllowed = "allowed are EC P-256, EC P-384 and RSA of 2048 to 4096 bits";

// SubjectPublicKeyInfo of a P-256 key up to its point (RFC 5480).
constexpr std::array<std::uint8_t, 26> kP256Head = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
    0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00};

int curve_of(const EVP_PKEY* key) {
  std::array<char, 64> name{};
  if (EVP_PKEY_is_a(key, "EC") != 1) return NID_undef;
  if (EVP_PKEY_get_group_name(key, name.data(), name.size(), nullptr) != 1) return NID_undef;
  return OBJ_sn2nid(name.data());
}

bool is_p256(const std::string& encoded) {
  return encoded.size() == kP256Head.size() + kP256PointBytes &&
         std::equal(kP256Head.begin(), kP256Head.end(), bytes_of(encoded));
}

expected<void> put(X509_PUBKEY* slot, ASN1_OBJECT* algorithm, int type, void* parameters,
                   const unsigned char* key, std::size_t size) {
  auto* copy = static_cast<unsigned char*>(OPENSSL_memdup(key, size));
  if (X509_PUBKEY_set0_param(slot, algorithm, type, parameters, copy, static_cast<int>(size)) ==
      1) {
    return {};
  }
  OPENSSL_free(copy);
  return fail_openssl(Code::kInternal, "set public key");
}

}  // namespace

expected<void> check_key_kind(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    int bits = EVP_PKEY_get_bits(key);
    if (bits >= 2048 && bits <= 4096) return {};
    return fail(Code::kInvalidArgument, fmt::format("RSA key of {} bits; {}", bits, kAllowed));
  }
  int is_explicit = 0;
  EVP_PKEY_get_int_param(key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &is_explicit);
  if (is_explicit != 0) {
    return fail(Code::kInvalidArgument,
                std::string("EC key with explicit curve parameters; ") + kAllowed);
  }
  int curve = curve_of(key);
  if (curve == NID_X9_62_prime256v1 || curve == NID_secp384r1) return {};
  const char* kind = curve != NID_undef ? OBJ_nid2sn(curve) : EVP_PKEY_get0_type_name(key);
  return fail(Code::kInvalidArgument,
              fmt::format("{} key; {}", kind == nullptr ? "unknown" : kind, kAllowed));
}

std::optional<P256Point> p256_point(const EVP_PKEY* key) {
  P256Point point{};
  std::size_t length = 0;
  if (curve_of(key) != NID_X9_62_prime256v1 ||
      EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, point.data(),
                                      point.size(), &length) != 1 ||
      length != point.size()) {
    return std::nullopt;
  }
  return point;
}

expected<std::string> encode_public_key(const EVP_PKEY* key) {
  if (auto point = p256_point(key)) {
    std::string encoded(kP256Head.begin(), kP256Head.end());
    encoded.append(point->begin(), point->end());
    return encoded;
  }
  std::string encoded = encode_der(key, i2d_PUBKEY);
  if (encoded.empty()) return fail_openssl(Code::kInternal, "encode public key");
  return encoded;
}

expected<void> set_public_key(X509_PUBKEY* slot, const std::string& encoded) {
  if (is_p256(encoded)) {
    return put(slot, OBJ_nid2obj(NID_X9_62_id_ecPublicKey), V_ASN1_OBJECT,
               OBJ_nid2obj(NID_X9_62_prime256v1), bytes_of(encoded) + kP256Head.size(),
               kP256PointBytes);
  }
  const unsigned char* in = bytes_of(encoded);
  OpensslPtr<X509_PUBKEY, X509_PUBKEY_free> parsed(
      d2i_X509_PUBKEY(nullptr, &in, static_cast<long>(encoded.size())));
  if (!parsed) return fail_openssl(Code::kInvalidArgument, "parse public key");
  ASN1_OBJECT* algorithm = nullptr;
  const unsigned char* key = nullptr;
  int size = 0;
  X509_ALGOR* identifier = nullptr;
  X509_PUBKEY_get0_param(&algorithm, &key, &size, &identifier, parsed.get());
  int type = V_ASN1_UNDEF;
  const void* parameters = nullptr;
  X509_ALGOR_get0(nullptr, &type, &parameters, identifier);
  // A named curve; RSA has NULL here.
  void* copy =
      type == V_ASN1_OBJECT ? OBJ_dup(static_cast<const ASN1_OBJECT*>(parameters)) : nullptr;
  return put(slot, OBJ_dup(algorithm), type, copy, key, static_cast<std::size_t>(size));
}

}  // namespace nodepilot
