// subjectAltName values under construction. For the .cc files of this room only.
#pragma once

#include <string>
#include <vector>

#include "rotation/pki/openssl.h"

namespace nodepilot {

// One URI, then the DNS names; null if out of memory.
GeneralNamesPtr make_general_names(const std::string& uri,
                                   const std::vector<std::string>& dns_names);

}  // namespace nodepilot
