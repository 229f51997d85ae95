#include "agent/open_ca.h"

#include "rotation/ca/istiod/file_token.h"
#include "rotation/ca/istiod/istiod_ca.h"
#include "rotation/ca/local_ca.h"

namespace nodepilot {
namespace {

expected<OpenedCa> open(const Config& config, const LocalCaConfig& local,
                        std::function<Time()> now) {
  LocalCa::Options options{.trust_domain = config.trust_domain,
                           .state_dir = config.state_dir,
                           .certificate_file = local.certificate_file,
                           .key_file = local.key_file};
  auto ca = TRY(LocalCa::open(options, std::move(now)));
  JwtSigner* jwt_signer = ca.get();
  return OpenedCa{std::move(ca), jwt_signer};
}

expected<OpenedCa> open(const Config& config, const IstiodOptions& istiod,
                        std::function<Time()> now) {
  auto token = std::make_unique<FileToken>(istiod.token_file, now);
  return OpenedCa{
      std::make_unique<IstiodCa>(config.trust_domain, istiod, std::move(token), std::move(now))};
}

}  // namespace

expected<OpenedCa> open_ca(const Config& config, std::function<Time()> now) {
  return std::visit([&](const auto& kind) { return open(config, kind, std::move(now)); },
                    config.ca);
}

}  // namespace nodepilot
