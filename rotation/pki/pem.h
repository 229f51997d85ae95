// PEM armour. For the .cc files of this room only.
#pragma once

#include <openssl/evp.h>

#include <algorithm>
#include <span>
#include <string>
#include <string_view>

namespace nodepilot {

inline constexpr std::size_t kPemLineBytes = 48;  // 64 characters

// Encodes straight into `Bytes`, so that a wiping buffer holds the only copy of a key's text.
template <class Bytes>
Bytes encode_pem(std::string_view label, std::span<const unsigned char> der) {
  const std::string head = "-----BEGIN " + std::string(label) + "-----\n";
  const std::string tail = "-----END " + std::string(label) + "-----\n";
  Bytes pem;
  pem.reserve(head.size() + (der.size() / kPemLineBytes + 1) * 65 + tail.size());
  pem.insert(pem.end(), head.begin(), head.end());
  while (!der.empty()) {
    auto line = der.first(std::min(kPemLineBytes, der.size()));
    std::size_t start = pem.size();
    pem.resize(start + 65);  // room for the NUL that EVP_EncodeBlock() appends
    auto* out = reinterpret_cast<unsigned char*>(&pem[start]);
    auto length =
        static_cast<std::size_t>(EVP_EncodeBlock(out, line.data(), static_cast<int>(line.size())));
    pem[start + length] = '\n';
    pem.resize(start + length + 1);
    der = der.subspan(line.size());
  }
  pem.insert(pem.end(), tail.begin(), tail.end());
  return pem;
}

inline std::string encode_pem(std::string_view label, std::string_view der) {
  return encode_pem<std::string>(label,
                                 {reinterpret_cast<const unsigned char*>(der.data()), der.size()});
}

}  // namespace nodepilot
