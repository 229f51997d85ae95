// The files that Vault is proven by and that prove us to it. For this room only. Symbolic links are
// followed, as Kubernetes mounts have them. Thread: worker. Errors name the file and are
// kFailedPrecondition: never to be taken for a refusal by Vault.
#pragma once

#include <filesystem>
#include <vector>

#include "rotation/ca/vault/vault_options.h"
#include "rotation/https/https_client.h"

namespace nodepilot {

expected<std::vector<Certificate>> read_certificates(const std::filesystem::path& file);

expected<ClientIdentity> read_client_certificate(const VaultCertificate& files);

// A token or secret ID, without the white space around it. The file must be ours or root's, and
// nobody else's to read.
expected<SecretBytes> read_secret_word(const std::filesystem::path& file);

// A service account's token: likewise, but Kubernetes lets everyone in the pod read it.
expected<SecretBytes> read_jwt(const std::filesystem::path& file);

}  // namespace nodepilot
