#include "attest/container.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "agent/base/log.h"
#include "attest/container_path.h"

namespace nodepilot {
namespace {

// The kernel shows paths of up to PATH_MAX bytes, and has a few tens of hierarchies at most.
constexpr std::size_t kMaxLineBytes = 4096;
constexpr std::size_t kMaxLines = 64;
constexpr std::size_t kMaxQuotedBytes = 256;

struct Line {
  unsigned hierarchy = 0;  // 0: the unified one
  std::string_view controllers;
  std::string_view path;
};

tl::unexpected<Error> doubt(std::string_view line, std::string_view why) {
  auto shown = quote(line.substr(0, kMaxQuotedBytes));
  return fail(Code::kFailedPrecondition, fmt::format("cgroup {}: {}", shown, why));
}

// "HIERARCHY:CONTROLLERS:PATH"; only the path may hold further colons.
expected<Line> parse_line(std::string_view text) {
  if (text.size() > kMaxLineBytes) {
    return doubt(text, fmt::format("the line is longer than {} bytes", kMaxLineBytes));
  }
  if (text.find('\0') != std::string_view::npos) return doubt(text, "the line holds a zero byte");
  std::size_t first = text.find(':');
  std::size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (second == std::string_view::npos) return doubt(text, "the line is not N:CONTROLLERS:PATH");

  Line line;
  std::string_view number = text.substr(0, first);
  std::from_chars(number.data(), number.data() + number.size(), line.hierarchy);
  line.controllers = text.substr(first + 1, second - first - 1);
  line.path = text.substr(second + 1);
  if (fmt::to_string(line.hierarchy) != number) return doubt(text, "its number is none");
  if ((line.hierarchy == 0) != line.controllers.empty()) {
    return doubt(text, "hierarchy 0, and no other, has no controllers");
  }
  return line;
}

// What the lines that were read so far agree on.
class Agreement {
 public:
  explicit Agreement(const CgroupRoot& root) : root_(root) {}

  expected<void> add(std::string_view text) {
    auto line = TRY(parse_line(text));
    if (!hierarchies_.insert(line.hierarchy).second ||
        !controllers_.insert(line.controllers).second) {
      return doubt(text, "there is another line for that hierarchy");
    }
    auto path = line.hierarchy == 0 ? root_.resolve(line.path) : std::string(line.path);
    if (!path) return doubt(text, path.error().message);
    auto found = container_in_path(*path);
    if (!found) return doubt(text, found.error().message);
    if (is_below_user_manager(*path)) users_line_ = text;
    if (!*found) return {};
    if (location_ && *location_ != **found) {
      return doubt(text, fmt::format("another line names container {}", location_->container_id));
    }
    location_ = *found;
    return {};
  }

  expected<std::optional<ContainerLocation>> result() const {
    if (hierarchies_.empty()) return fail(Code::kFailedPrecondition, "cgroup: no line at all");
    if (location_ && !location_->rootless_uid && !users_line_.empty()) {
      return doubt(users_line_, fmt::format("another line names container {}, which is not that "
                                            "user's",
                                            location_->container_id));
    }
    return location_;
  }

 private:
  const CgroupRoot& root_;
  std::set<unsigned> hierarchies_;
  std::set<std::string_view> controllers_;
  std::optional<ContainerLocation> location_;
  std::string_view users_line_;
};

}  // namespace

expected<std::optional<ContainerLocation>> locate_container(std::string_view cgroup,
                                                            const CgroupRoot& root) {
  if (!cgroup.empty() && !cgroup.ends_with('\n')) {
    return fail(Code::kFailedPrecondition, "cgroup: the last line is cut off");
  }
  if (std::count(cgroup.begin(), cgroup.end(), '\n') > static_cast<std::ptrdiff_t>(kMaxLines)) {
    return fail(Code::kFailedPrecondition, fmt::format("cgroup: more than {} lines", kMaxLines));
  }
  Agreement agreement(root);
  while (!cgroup.empty()) {
    std::string_view line = cgroup.substr(0, cgroup.find('\n'));
    cgroup.remove_prefix(line.size() + 1);
    TRY(agreement.add(line));
  }
  return agreement.result();
}

}  // namespace nodepilot
