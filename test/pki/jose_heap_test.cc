#include "rotation/pki/jose_heap.h"

#include <cjose/util.h>
#include <doctest/doctest.h>
#include <openssl/crypto.h>

#include "rotation/pki/jwt_svid.h"
#include "test/pki/test_ca.h"

namespace nodepilot {

TEST_CASE("cjose works on OpenSSL's heap") {
  share_openssl_heap_with_jose();

  auto key = JwtSigningKey::generate().value();
  auto id = SpiffeId::parse("spiffe://example.org/web").value();
  auto svid = sign_jwt_svid(key, id, {"api"}, test::noon(), test::noon() + std::chrono::minutes(5));

  REQUIRE(svid.has_value());
  CHECK(key.authority().has_signed(svid->token));
  const bool is_shared = cjose_get_alloc3() == CRYPTO_malloc && cjose_get_dealloc3() == CRYPTO_free;
  CHECK(is_shared);
  cjose_set_alloc_ex_funcs(nullptr, nullptr, nullptr);
}

}  // namespace nodepilot
