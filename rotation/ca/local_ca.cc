#include "rotation/ca/local_ca.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/files.h"
#include "rotation/ca/signer.h"
#include "rotation/pki/issuer.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr Duration kShortestLife = std::chrono::seconds(10);

fs::path own_file(const LocalCa::Options& options) { return options.state_dir / "local-ca.pem"; }

// The file named first, for errors, and what mends a content that is refused.
struct Origin {
  fs::path file;
  std::string cure;
};

Origin origin_of(const LocalCa::Options& options) {
  if (options.certificate_file) {
    return {*options.certificate_file, "correct ca.local.certificate_file and key_file"};
  }
  return {own_file(options),
          "restore it from a backup, or move it away to have a new root made, which every "
          "workload must then learn to trust"};
}

tl::unexpected<Error> fail_at(const Origin& origin, const Error& cause) {
  return fail(cause.code,
              fmt::format("{}: {}; {}", origin.file.string(), cause.message, origin.cure));
}

// Only a missing file is replaced: a damaged one may be the last copy of a root in use.
expected<Signer> load_own(const LocalCa::Options& options, Time now) {
  Fd lock = TRY(lock_directory(options.state_dir));  // two that start at once make one root
  auto text = read_private_file(own_file(options), kMaxPrivateKeyPemBytes);
  if (!text && text.error().code == Code::kNotFound) {
    return make_own_signer(own_file(options), options.trust_domain,
                           {now - kBackdate, now + options.root_ttl});
  }
  if (!text) return tl::unexpected(text.error());
  auto signer = parse_own_signer(*text);
  if (!signer) return fail_at(origin_of(options), signer.error());
  return signer;
}

expected<Signer> load(const LocalCa::Options& options, Time now) {
  if (options.certificate_file.has_value() != options.key_file.has_value()) {
    return fail(Code::kInvalidArgument,
                "ca.local: certificate_file and key_file belong together; give both or neither");
  }
  if (options.certificate_file) return read_signer(*options.certificate_file, *options.key_file);
  return load_own(options, now);
}

}  // namespace

expected<std::unique_ptr<LocalCa>> LocalCa::open(const Options& options,
                                                 std::function<Time()> now) {
  Time start = now();
  TRY(ensure_directory(options.state_dir, 0700));
  Signer signer = TRY(load(options, start));
  auto bundle = TrustBundle::create(options.trust_domain, {signer.root()});
  if (!bundle) return fail_at(origin_of(options), bundle.error());
  auto chain = check_signer(signer, *bundle, start);
  if (!chain) return fail_at(origin_of(options), chain.error());
  auto jwt_keys = TRY(JwtKeys::open(options.state_dir / "local-ca-jwt.json", options.jwt, start));
  return std::unique_ptr<LocalCa>(new LocalCa(std::move(signer.key), *std::move(chain),
                                              *std::move(bundle), std::move(jwt_keys),
                                              options.jwt.longest_token, std::move(now)));
}

LocalCa::LocalCa(PrivateKey key, std::vector<Certificate> chain, TrustBundle bundle,
                 std::unique_ptr<JwtKeys> jwt_keys, Duration longest_jwt, std::function<Time()> now)
    : key_(std::move(key)),
      chain_(std::move(chain)),
      signer_(chain_.empty() ? bundle.roots().front() : chain_.front()),
      bundle_(std::move(bundle)),
      jwt_keys_(std::move(jwt_keys)),
      longest_jwt_(longest_jwt),
      now_(std::move(now)) {}

// A leaf that outlived any certificate above it would be refused by its peers before its end.
Time LocalCa::end() const {
  Time end = bundle_.roots().front().validity().not_after;
  for (const Certificate& link : chain_) end = std::min(end, link.validity().not_after);
  return end;
}

expected<void> LocalCa::check_is_ours(const SpiffeId& id) const {
  if (id.trust_domain() == bundle_.trust_domain() && id.has_path()) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("local CA: cannot sign for {}; only IDs with a path below {} are its to "
                          "give",
                          id.str(), bundle_.trust_domain().id()));
}

expected<std::vector<Certificate>> LocalCa::sign(const Csr& csr, const Entry& entry) {
  const SpiffeId& id = entry.spiffe_id;
  TRY(check_is_ours(id));
  Time now = now_();
  if (end() - now < kShortestLife) {
    return fail(Code::kFailedPrecondition,
                fmt::format("local CA: cannot sign for {}: the CA \"{}\" or one above it ends at "
                            "{}; renew the CA's certificate and restart",
                            id.str(), signer_.subject(), to_rfc3339(end())));
  }
  Validity validity{now - kBackdate, std::min<Time>(now + entry.ttl, end())};
  std::vector<Certificate> chain{TRY(make_leaf(key_, signer_, csr, entry, validity))};
  chain.insert(chain.end(), chain_.begin(), chain_.end());
  return chain;
}

expected<TrustBundle> LocalCa::bundle() {
  return TrustBundle::create(bundle_.trust_domain(), bundle_.roots(),
                             jwt_keys_->authorities(now_()));
}

expected<JwtSvid> LocalCa::sign_jwt(const SpiffeId& id, const std::vector<std::string>& audience,
                                    std::chrono::seconds ttl) {
  TRY(check_is_ours(id));
  Time now = now_();
  return sign_jwt_svid(jwt_keys_->signer(now), id, audience, now,
                       now + std::min<Duration>(ttl, longest_jwt_));
}

}  // namespace nodepilot
