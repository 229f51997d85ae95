#include "rotation/pki/jose_heap.h"

#include <cjose/util.h>
#include <openssl/crypto.h>

namespace nodepilot {

void share_openssl_heap_with_jose() {
  cjose_set_alloc_ex_funcs(CRYPTO_malloc, CRYPTO_realloc, CRYPTO_free);
}

}  // namespace nodepilot
