#include "rotation/pki/openssl.h"

#include <openssl/err.h>

namespace nodepilot {

tl::unexpected<Error> fail_openssl(Code code, std::string what) {
  const char* reason = ERR_reason_error_string(ERR_peek_last_error());
  ERR_clear_error();
  return fail(code, std::move(what) + ": " + (reason == nullptr ? "unknown error" : reason));
}

}  // namespace nodepilot
