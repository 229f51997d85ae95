// Owners for cjose's objects, and base64 by its hand. For the .cc files of this room only.
#pragma once

#include <cjose/cjose.h>
#include <openssl/types.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

struct ReleaseJose {
  void operator()(cjose_jwk_t* jwk) const { cjose_jwk_release(jwk); }
  void operator()(cjose_jws_t* jws) const { cjose_jws_release(jws); }
  void operator()(cjose_header_t* header) const { cjose_header_release(header); }
};

using JwkPtr = std::unique_ptr<cjose_jwk_t, ReleaseJose>;
using JwsPtr = std::unique_ptr<cjose_jws_t, ReleaseJose>;
using JoseHeaderPtr = std::unique_ptr<cjose_header_t, ReleaseJose>;

// "what: why"; OpenSSL's errors of the thread are dropped.
tl::unexpected<Error> fail_jose(Code code, std::string what, const cjose_err& error);

// Strict: unpadded, and in the one spelling that the encoder would give.
std::optional<std::string> decode_base64url(std::string_view text);
std::string encode_base64url(std::string_view bytes);
// Strict too: the standard alphabet, padded.
std::optional<std::string> decode_base64(std::string_view text);
std::string encode_base64(std::string_view bytes);

// kty and the public members (RFC 7518 section 6) of a key that check_key_kind() accepts.
nlohmann::json public_jwk(const EVP_PKEY* key);

}  // namespace nodepilot
