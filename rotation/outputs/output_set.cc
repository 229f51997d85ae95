#include "rotation/outputs/output_set.h"

#include <algorithm>

namespace nodepilot {
namespace {

SecretBytes to_bytes(const std::string& text) { return {text.begin(), text.end()}; }

std::string roots_pem(const OutputContent& content) {
  std::string pem = content.bundle->pem();
  for (const auto& [trust_domain, bundle] : content.federated) pem += bundle->pem();
  return pem;
}

SecretBytes key_and_chain(const X509Svid& svid) {
  SecretBytes key = svid.key().pkcs8_pem();
  std::string chain = concatenated_pem(svid.chain());
  SecretBytes both;
  both.reserve(key.size() + chain.size());
  both.insert(both.end(), key.begin(), key.end());
  both.insert(both.end(), chain.begin(), chain.end());
  return both;
}

}  // namespace

bool OutputContent::same_files(const OutputContent& other) const {
  auto same_roots = [](const auto& a, const auto& b) {
    return a.first == b.first && a.second->same_roots(*b.second);
  };
  return svid == other.svid && bundle->same_roots(*other.bundle) &&
         std::equal(federated.begin(), federated.end(), other.federated.begin(),
                    other.federated.end(), same_roots);
}

std::vector<std::string> file_names(OutputProfile profile) {
  switch (profile) {
    case OutputProfile::kPem:
      return {"svid.pem", "svid_key.pem", "bundle.pem"};
    case OutputProfile::kTls:
      return {"tls.crt", "tls.key", "ca.crt"};
    case OutputProfile::kBundle:
      break;
  }
  return {"credential-bundle.pem", "ca.crt"};
}

std::vector<OutputFile> render(const OutputContent& content, OutputProfile profile) {
  std::vector<std::string> names = file_names(profile);
  const X509Svid& svid = *content.svid;
  std::vector<OutputFile> files;
  if (profile == OutputProfile::kBundle) {
    files.push_back({names[0], key_and_chain(svid), true});
  } else {
    files.push_back({names[0], to_bytes(concatenated_pem(svid.chain())), false});
    files.push_back({names[1], svid.key().pkcs8_pem(), true});
  }
  files.push_back({names.back(), to_bytes(roots_pem(content)), false});
  return files;
}

}  // namespace nodepilot
