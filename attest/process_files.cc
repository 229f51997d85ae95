#include "attest/process_files.h"

#include <fmt/format.h>

#include <future>
#include <system_error>
#include <thread>
#include <utility>

#include "agent/base/files.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

expected<SecretBytes> read_below_root(const Peer& peer, const fs::path& path,
                                      std::size_t max_bytes) {
  Fd root = TRY(peer.directory().root_directory());
  // Only now it is known whose root was opened.
  TRY(peer.check());
  return read_file_in_root(root, path, max_bytes);
}

}  // namespace

expected<SecretBytes> ProcessFiles::read(std::shared_ptr<const Peer> peer, fs::path path,
                                         std::size_t max_bytes) const {
  std::string what = fmt::format("read {} of process {}", path.string(), peer->pid());
  if (under_way_->fetch_add(1) >= max_stuck_) {
    under_way_->fetch_sub(1);
    return fail(Code::kResourceExhausted, what + ": too many reads hang");
  }
  std::packaged_task<expected<SecretBytes>()> task(
      [peer = std::move(peer), path = std::move(path), max_bytes, under_way = under_way_] {
        auto bytes = read_below_root(*peer, path, max_bytes);
        under_way->fetch_sub(1);
        return bytes;
      });
  auto answer = task.get_future();
  try {
    std::thread(std::move(task)).detach();
  } catch (const std::system_error& error) {
    under_way_->fetch_sub(1);
    return fail(Code::kResourceExhausted, what + ": start a thread: " + error.what());
  }
  if (answer.wait_for(patience_) != std::future_status::ready) {
    return fail(Code::kDeadlineExceeded, what + ": no answer within " + to_text(patience_));
  }
  auto bytes = answer.get();
  if (!bytes) return fail_with(std::move(what), bytes.error());
  return bytes;
}

}  // namespace nodepilot
