// The files of one set: key, chain and roots that belong together, as text.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/base/secret.h"
#include "rotation/outputs/output.h"
#include "rotation/workload_update.h"

namespace nodepilot {

// What a set is made of. Thread: any.
struct OutputContent {
  SvidPtr svid;
  BundlePtr bundle;
  std::map<TrustDomain, BundlePtr> federated;  // empty unless the output asks for them

  // Whether the files would hold the same.
  bool same_files(const OutputContent& other) const;
};

struct OutputFile {
  std::string name;
  SecretBytes bytes;
  bool has_key = false;
};

// The names of the files, in their order.
std::vector<std::string> file_names(OutputProfile profile);

// The files of the profile. The key is PKCS#8; chains have no root, leaf first. Thread: any.
std::vector<OutputFile> render(const OutputContent& content, OutputProfile profile);

}  // namespace nodepilot
