#include "rotation/ca/istiod/root_file.h"

#include "agent/base/files.h"
#include "rotation/pki/root_list.h"

namespace nodepilot {

expected<ListedRootsPtr> RootFile::read(Time now) {
  auto refreshed = refresh();
  if (refreshed) {
    fault_.over();
  } else if (roots_) {
    fault_.warn("roots not read: those read before stand", refreshed.error(), now);
  } else {
    return tl::unexpected<Error>(refreshed.error());
  }
  return roots_;
}

expected<void> RootFile::refresh() {
  std::filesystem::path file = TRY(path_ ? real_path(*path_) : find_system_roots());
  std::string text = TRY(read_file(file, kMaxPemBytes));
  if (roots_ && text == text_) return {};
  auto certificates = path_ ? Certificate::parse_pem(text) : parse_root_list(text);
  if (!certificates) return fail_with(name(), certificates.error());
  std::string pem = concatenated_pem(*certificates);
  roots_ =
      std::make_shared<const ListedRoots>(ListedRoots{*std::move(certificates), std::move(pem)});
  text_ = std::move(text);
  return {};
}

}  // namespace nodepilot
