#include "rotation/outputs/file_owner.h"

#include <doctest/doctest.h>
#include <pwd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/outputs/kit.h"

namespace nodepilot {
namespace {

TEST_CASE("owners are found by name and by number") {
  const passwd* self = ::getpwuid(::geteuid());
  REQUIRE(self != nullptr);

  auto by_name = find_owner({.user = self->pw_name, .group = ""});
  auto by_number =
      find_owner({.user = std::to_string(::geteuid()), .group = std::to_string(::getegid())});
  auto nobody_named = find_owner({});

  REQUIRE(by_name);
  CHECK(by_name->uid == ::geteuid());
  CHECK_FALSE(by_name->gid);
  REQUIRE(by_number);
  CHECK(by_number->uid == ::geteuid());
  CHECK(by_number->gid == ::getegid());
  REQUIRE(nobody_named);
  CHECK_FALSE(nobody_named->uid);
}

TEST_CASE("unknown names are refused") {
  auto user = find_owner({.user = "no-such-user-here", .group = ""});
  auto group = find_owner({.user = "", .group = "no-such-group-here"});

  REQUIRE_FALSE(user);
  CHECK(user.error().message == "there is no user \"no-such-user-here\"");
  REQUIRE_FALSE(group);
  CHECK(group.error().message == "there is no group \"no-such-group-here\"");
}

// Whether `check` holds in a child process that is an ordinary user.
template <class Check>
bool as_ordinary_user(Check check) {
  pid_t child = ::fork();
  if (child == 0) {
    bool is_other = ::geteuid() != 0 || (::setgid(61001) == 0 && ::setuid(61001) == 0);
    ::_exit(is_other && check() ? 0 : 1);
  }
  int status = 0;
  return ::waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST_CASE("a process without CAP_CHOWN is told at once that it cannot give files away") {
  CHECK(as_ordinary_user([] {
    auto refused = find_owner({.user = "0", .group = ""});
    return !refused && refused.error().code == Code::kFailedPrecondition &&
           refused.error().message.find("CAP_CHOWN") != std::string::npos;
  }));
  CHECK(as_ordinary_user([] {
    auto refused = find_owner({.user = "", .group = "61999"});
    return !refused && refused.error().message.find("make it a member") != std::string::npos;
  }));
  CHECK(as_ordinary_user([] {
    return find_owner({std::to_string(::geteuid()), std::to_string(::getegid())}).has_value();
  }));
}

}  // namespace
}  // namespace nodepilot
