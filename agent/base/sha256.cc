#include "agent/base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <vector>

namespace nodepilot {

expected<std::string> sha256_hex(int fd, std::size_t max_bytes) {
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> digest(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  if (!digest || EVP_DigestInit_ex(digest.get(), EVP_sha256(), nullptr) != 1) {
    return fail(Code::kInternal, "SHA-256 is not available");
  }
  std::vector<char> buffer(std::size_t{256} * 1024);
  std::size_t offset = 0;
  while (true) {
    ssize_t n = ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("read a file to hash", errno);
    if (n == 0) break;
    offset += static_cast<std::size_t>(n);
    if (offset > max_bytes) {
      return fail(Code::kResourceExhausted,
                  fmt::format("hash a file: larger than {} bytes", max_bytes));
    }
    EVP_DigestUpdate(digest.get(), buffer.data(), static_cast<std::size_t>(n));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> sum{};
  unsigned length = 0;
  EVP_DigestFinal_ex(digest.get(), sum.data(), &length);
  std::string hex;
  for (unsigned i = 0; i < length; ++i) hex += fmt::format("{:02x}", sum.at(i));
  return hex;
}

}  // namespace nodepilot
