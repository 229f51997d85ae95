// What one file of the sealed state holds: "NPSEALED", the version, the id of the key, the sealed
// content, and in hex the SHA-256 of all that. The hash tells damage from a wrong key and from a
// version that is really newer; it is the seal that tells who wrote it.
// Thread: any.
#pragma once

#include <string>
#include <string_view>

#include "rotation/pki/seal.h"

namespace nodepilot {

// `name` is bound to the content: a file cannot stand in for another.
expected<std::string> seal_file(const SealingKey& key, std::string_view name,
                                const SecretBytes& content);

// kDataLoss if it is damaged or was not written by us under this name, kUnimplemented if it is of
// a newer version, kUnauthenticated if it is whole, but sealed under another key.
expected<SecretBytes> open_file(const SealingKey& key, std::string_view name,
                                std::string_view bytes);

}  // namespace nodepilot
