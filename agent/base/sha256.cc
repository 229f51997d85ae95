#include "agent/base/sha256.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <memory>
#include <vector>

namespace nodepilot {
namespace {

using Sum = std::array<unsigned char, EVP_MAX_MD_SIZE>;

std::string hex(const Sum& sum, unsigned length) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(std::size_t{length} * 2);
  for (unsigned i = 0; i < length; ++i) {
    text += kDigits[sum.at(i) >> 4];
    text += kDigits[sum.at(i) & 15];
  }
  return text;
}

}  // namespace

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
  Sum sum{};
  unsigned length = 0;
  EVP_DigestFinal_ex(digest.get(), sum.data(), &length);
  return hex(sum, length);
}

std::string sha256_hex(std::string_view bytes) {
  Sum sum{};
  unsigned length = 0;
  // Fails only if libcrypto has no SHA-256 or no memory.
  if (EVP_Digest(bytes.data(), bytes.size(), sum.data(), &length, EVP_sha256(), nullptr) != 1) {
    std::terminate();
  }
  return hex(sum, length);
}

}  // namespace nodepilot
