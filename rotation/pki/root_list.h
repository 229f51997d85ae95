// Lists of roots that others keep, the operating system's above all: unlike a trust bundle they
// hold what we cannot use, and one such root must not cost the others.
// Thread: any.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "rotation/pki/certificate.h"

namespace nodepilot {

// The certificates of a PEM text that Certificate::parse_pem() takes, in order, each once. Any
// other text is skipped. kInvalidArgument if there is none, or more than kMaxListedRoots, or more
// than kMaxPemBytes.
expected<std::vector<Certificate>> parse_root_list(std::string_view pem);

// The file with the operating system's roots, wherever this distribution keeps it, its links
// resolved. kNotFound if there is none.
expected<std::filesystem::path> find_system_roots();

}  // namespace nodepilot
