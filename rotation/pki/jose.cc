#include "rotation/pki/jose.h"

#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/err.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rotation/pki/openssl.h"

namespace nodepilot {
namespace {

template <class Byte>
std::string take_text(Byte* bytes, std::size_t size) {
  std::string text(reinterpret_cast<const char*>(bytes), size);
  cjose_get_dealloc()(bytes);
  return text;
}

using Encode = bool (*)(const uint8_t*, size_t, char**, size_t*, cjose_err*);
using Decode = bool (*)(const char*, size_t, uint8_t**, size_t*, cjose_err*);

std::string encode_with(Encode encode, std::string_view bytes) {
  cjose_err error{};
  char* text = nullptr;
  size_t size = 0;
  if (!encode(bytes_of(bytes), bytes.size(), &text, &size, &error)) return {};
  return take_text(text, size);
}

// cjose's decoders stop at '=' and drop loose bits, so that several texts would mean the same.
std::optional<std::string> decode_with(Decode decode, Encode encode, std::string_view text) {
  cjose_err error{};
  uint8_t* bytes = nullptr;
  size_t size = 0;
  if (!decode(text.data(), text.size(), &bytes, &size, &error)) return std::nullopt;
  std::string decoded = take_text(bytes, size);
  if (encode_with(encode, decoded) != text) return std::nullopt;
  return decoded;
}

// A number of the key, big-endian; at least `width` bytes, zeros in front.
std::string number_of(const EVP_PKEY* key, const char* name, std::size_t width = 0) {
  BIGNUM* raw = nullptr;
  EVP_PKEY_get_bn_param(key, name, &raw);
  BignumPtr number(raw);
  if (!number) return {};
  std::string bytes(
      std::max<std::size_t>(width, static_cast<std::size_t>(BN_num_bytes(number.get()))), '\0');
  BN_bn2binpad(number.get(), reinterpret_cast<unsigned char*>(bytes.data()),
               static_cast<int>(bytes.size()));
  return bytes;
}

}  // namespace

tl::unexpected<Error> fail_jose(Code code, std::string what, const cjose_err& error) {
  ERR_clear_error();
  return fail(code, std::move(what) + ": " + cjose_err_message(error.code));
}

std::optional<std::string> decode_base64url(std::string_view text) {
  return decode_with(cjose_base64url_decode, cjose_base64url_encode, text);
}

std::string encode_base64url(std::string_view bytes) {
  return encode_with(cjose_base64url_encode, bytes);
}

std::optional<std::string> decode_base64(std::string_view text) {
  return decode_with(cjose_base64_decode, cjose_base64_encode, text);
}

std::string encode_base64(std::string_view bytes) {
  return encode_with(cjose_base64_encode, bytes);
}

nlohmann::json public_jwk(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA") == 1) {
    return {{"kty", "RSA"},
            {"n", encode_base64url(number_of(key, OSSL_PKEY_PARAM_RSA_N))},
            {"e", encode_base64url(number_of(key, OSSL_PKEY_PARAM_RSA_E))}};
  }
  auto bits = static_cast<std::size_t>(EVP_PKEY_get_bits(key));
  return {{"kty", "EC"},
          {"crv", fmt::format("P-{}", bits)},
          {"x", encode_base64url(number_of(key, OSSL_PKEY_PARAM_EC_PUB_X, bits / 8))},
          {"y", encode_base64url(number_of(key, OSSL_PKEY_PARAM_EC_PUB_Y, bits / 8))}};
}

}  // namespace nodepilot
