#include "rotation/state/saved_state.h"

#include <vector>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

using Contents = std::map<std::string, expected<SecretBytes>>;  // by file

std::string_view view_of(const SecretBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

constexpr std::string_view kSetAside = ".bad";

expected<SecretBytes> read_sealed(StateFiles& files, const SealingKey& key,
                                  const std::string& name) {
  SecretBytes bytes = TRY(files.read(name));
  return open_file(key, name, view_of(bytes));
}

// A wrong key must not be taken for damage of everything. A single file of another key beside
// those of ours is damage: it came from a backup.
expected<void> check_key(const Contents& contents, const StateFiles& files) {
  const std::string* foreign = nullptr;
  for (const auto& [name, content] : contents) {
    if (content) return {};
    if (content.error().code == Code::kUnauthenticated) foreign = &name;
  }
  if (foreign == nullptr) return {};
  return fail(Code::kFailedPrecondition,
              files.path(*foreign).string() +
                  ": the state is sealed under another key than the one given; give that key, or "
                  "remove the directory to begin without what it holds");
}

class Reader {
 public:
  Reader(StateFiles& files, const EntrySet& entries, const TrustDomain& trust_domain)
      : files_(files), entries_(entries), trust_domain_(trust_domain) {
    for (const EntryPtr& entry : entries.fixed()) entry_of_.emplace(svid_file(entry->id), entry);
  }

  // Whether it may be of use; for an identity that a template gave its content decides.
  bool is_known(const std::string& name) const {
    bool has_templates = entries_.fixed().size() < entries_.rules().size();
    return name == kBundleFile || entry_of_.contains(name) || (has_templates && is_svid_file(name));
  }

  void take(const std::string& name, const expected<SecretBytes>& content) {
    auto used = name == kBundleFile ? take_bundle(content) : take_svid(name, content);
    if (used || used.error().code == Code::kNotFound) return;
    Code code = used.error().code;
    bool damaged = code == Code::kDataLoss || code == Code::kResourceExhausted ||
                   code == Code::kUnauthenticated;
    if (damaged) {
      set_aside(name, used.error());
    } else if (code == Code::kInternal) {
      log::error("stored file not read", {{"error", used.error().message}});
    } else {
      refuse(name, used.error());
    }
  }

  SavedState state;

 private:
  expected<void> take_bundle(const expected<SecretBytes>& content) {
    if (!content) return tl::unexpected(content.error());
    TrustBundle bundle = TRY(decode_bundle(*content));
    if (bundle.trust_domain() == trust_domain_) {
      state.bundle = std::move(bundle);
    } else {
      drop(std::string(kBundleFile), "it is of the trust domain " + bundle.trust_domain().name());
    }
    return {};
  }

  expected<void> take_svid(const std::string& name, const expected<SecretBytes>& content) {
    if (!content) return tl::unexpected(content.error());
    StoredSvid svid = TRY(decode_svid(*content));
    EntryPtr entry = entry_for(name, svid.spiffe_id);
    if (!entry) {
      drop(name, "no identity of the configuration leads to " + svid.spiffe_id.str());
    } else if (!svid.is_for(*entry)) {
      drop(name, "identity " + entry->id + " has other names in the configuration now");
    } else {
      state.svids.push_back({std::move(entry), std::move(svid)});
    }
    return {};
  }

  EntryPtr entry_for(const std::string& name, const SpiffeId& spiffe_id) const {
    auto fixed = entry_of_.find(name);
    if (fixed != entry_of_.end()) return fixed->second;
    for (EntryPtr& made : entries_.made_from_templates(spiffe_id)) {
      if (svid_file(made->id) == name) return std::move(made);
    }
    return nullptr;
  }

  void drop(const std::string& name, const std::string& why) {
    log::info("stored file not used any more",
              {{"file", files_.path(name).string()}, {"reason", why}});
    state.obsolete.insert(name);
  }

  void set_aside(const std::string& name, const Error& error) {
    auto moved = files_.set_aside(name);
    log::error("stored file set aside", {{"file", files_.path(name).string()},
                                         {"error", error.message},
                                         {"as", moved ? name + ".bad" : moved.error().message}});
  }

  void refuse(const std::string& name, const Error& error) {
    std::string message = files_.path(name).string() + ": " + error.message +
                          "; it is neither used nor written over: remove it to keep state there";
    log::error("stored file refused", {{"error", message}});
    state.refused.emplace(name, Error{error.code, message});
  }

  StateFiles& files_;
  const EntrySet& entries_;
  const TrustDomain& trust_domain_;
  std::map<std::string, EntryPtr> entry_of_;  // by file; the fixed ones
};

}  // namespace

expected<SavedState> read_saved_state(StateFiles& files, const SealingKey& key,
                                      const EntrySet& entries, const TrustDomain& trust_domain) {
  Reader reader(files, entries, trust_domain);
  auto names = files.list();
  if (!names) {
    log::error("stored files cannot be listed", {{"error", names.error().message}});
    return std::move(reader.state);
  }
  Contents contents;
  for (const std::string& name : *names) {
    bool aside = name.ends_with(kSetAside);
    if (!reader.is_known(aside ? name.substr(0, name.size() - kSetAside.size()) : name)) {
      reader.state.obsolete.insert(name);
    } else if (!aside) {
      contents.emplace(name, read_sealed(files, key, name));
    }
  }
  TRY(check_key(contents, files));
  for (const auto& [name, content] : contents) reader.take(name, content);
  return std::move(reader.state);
}

}  // namespace nodepilot
