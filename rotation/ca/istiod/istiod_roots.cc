#include "rotation/ca/istiod/istiod_roots.h"

#include <algorithm>
#include <utility>

#include "agent/base/log.h"
#include "agent/base/sha256.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxNamed = 5;  // in an error

bool continues(const Certificate& root, const std::vector<Certificate>& believed) {
  return std::any_of(believed.begin(), believed.end(), [&](const Certificate& known) {
    return known == root || known.has_key_of(root);
  });
}

// Subjects alone would not tell a root from its namesake.
std::string names_of(const std::vector<Certificate>& roots) {
  std::string names;
  for (std::size_t i = 0; i < roots.size() && i < kMaxNamed; ++i) {
    names += (i == 0 ? "" : ", ") + quote(roots[i].subject().substr(0, 100)) + " (sha256 " +
             sha256_hex(roots[i].der()).substr(0, 16) + ")";
  }
  if (roots.size() > kMaxNamed)
    names += " and " + std::to_string(roots.size() - kMaxNamed) + " more";
  return names;
}

}  // namespace

IstiodRoots::IstiodRoots(TrustDomain trust_domain, std::optional<std::filesystem::path> root_file,
                         std::optional<std::filesystem::path> trust_bundle_file,
                         std::function<Time()> now)
    : trust_domain_(std::move(trust_domain)),
      now_(std::move(now)),
      root_file_(std::move(root_file)) {
  if (trust_bundle_file) trust_bundle_file_.emplace(std::move(trust_bundle_file));
}

expected<ListedRootsPtr> IstiodRoots::server_roots() {
  std::lock_guard lock(mutex_);
  return root_file_.read(now_());
}

expected<TrustBundle> IstiodRoots::bundle() {
  std::lock_guard lock(mutex_);
  std::vector<Certificate> roots = TRY(read_bootstrap())->certificates;
  roots.insert(roots.end(), told_.begin(), told_.end());
  return TrustBundle::create(trust_domain_, roots);
}

expected<void> IstiodRoots::accept(const std::vector<Certificate>& roots) {
  TRY(TrustBundle::create(trust_domain_, roots));
  std::lock_guard lock(mutex_);
  std::vector<Certificate> believed = TRY(read_bootstrap())->certificates;
  believed.insert(believed.end(), told_.begin(), told_.end());
  bool is_continued = std::any_of(roots.begin(), roots.end(), [&](const Certificate& root) {
    return continues(root, believed);
  });
  if (is_continued) {
    told_ = roots;
    return {};
  }
  std::string file = (trust_bundle_file_ ? *trust_bundle_file_ : root_file_).name();
  return fail(Code::kFailedPrecondition,
              "the CA tells the roots " + names_of(roots) +
                  ", none of which is believed; those of " + file + " are " + names_of(believed) +
                  "; if the CA's root has really changed, add the new one to that file");
}

expected<ListedRootsPtr> IstiodRoots::read_bootstrap() {
  return (trust_bundle_file_ ? *trust_bundle_file_ : root_file_).read(now_());
}

}  // namespace nodepilot
