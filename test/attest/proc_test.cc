#include "attest/proc.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/attest/client_process.h"
#include "test/support/temporary_directory.h"

using namespace nodepilot;

namespace {

// /proc/PID/status with the given lines among others.
std::string status_with(const std::string& uid, const std::string& gid, const std::string& groups) {
  return "Name:\tUid:\\n0\nUmask:\t0022\nTgid:\t7\n" + uid + gid + "FDSize:\t64\n" + groups +
         "UidMore:\t1\nVmPeak:\t    3060 kB\n";
}

const std::string kUid = "Uid:\t1\t1000\t3\t4\n";
const std::string kGid = "Gid:\t5\t1001\t7\t8\n";
const std::string kGroups = "Groups:\t4 24 27 \n";

// /proc/PID/stat of a process that calls itself `name`, started at tick 8675309.
std::string stat_with(const std::string& name) {
  return "42 (" + name + ") S 1 42 42 0 -1 4194304 5 0 0 0 1 2 3 4 20 0 1 0 8675309 99 9\n";
}

expected<std::string> cgroup_of(const ProcDirectory& directory) {
  return TRY(directory.cgroup_file()).read();
}

}  // namespace

TEST_CASE("a status yields the effective ids and the supplementary groups") {
  auto status = parse_status(status_with(kUid, kGid, kGroups));

  REQUIRE(status);
  CHECK(status->uid == 1000);
  CHECK(status->gid == 1001);
  CHECK(status->groups == std::vector<gid_t>{4, 24, 27});
}

TEST_CASE("a status may have no supplementary groups") {
  auto status = parse_status(status_with(kUid, kGid, "Groups:\t \n"));

  REQUIRE(status);
  CHECK(status->groups.empty());
}

TEST_CASE("a status holds as many groups as the kernel allows") {
  std::string groups = "Groups:\t";
  for (int i = 0; i < 65536; ++i) groups += "4294967294 ";

  auto status = parse_status(status_with(kUid, kGid, groups + "\n"));

  REQUIRE(status);
  CHECK(status->groups.size() == 65536);
}

TEST_CASE("a status with a line missing, doubled, garbled or cut off is refused") {
  CHECK_FALSE(parse_status(""));
  CHECK_FALSE(parse_status("\n"));
  CHECK_FALSE(parse_status(std::string(100'000, 'x')));
  CHECK_FALSE(parse_status(status_with("", kGid, kGroups)));
  CHECK_FALSE(parse_status(status_with(kUid, "", kGroups)));
  CHECK_FALSE(parse_status(status_with(kUid, kGid, "")));
  CHECK_FALSE(parse_status(status_with(kUid + kUid, kGid, kGroups)));
  CHECK_FALSE(parse_status(status_with("Uid:\t1\t2\t3\n", kGid, kGroups)));
  CHECK_FALSE(parse_status(status_with("Uid:\t1\t2\t3\t4\t5\n", kGid, kGroups)));
  CHECK_FALSE(parse_status(status_with("Uid:\t1\t-2\t3\t4\n", kGid, kGroups)));
  CHECK_FALSE(parse_status(status_with("Uid:\t1\t4294967296\t3\t4\n", kGid, kGroups)));
  CHECK_FALSE(parse_status(status_with("Uid:\t1\t0x10\t3\t4\n", kGid, kGroups)));
  CHECK_FALSE(parse_status(status_with("Uid\t1\t2\t3\t4\n", kGid, kGroups)));

  std::string whole = status_with(kUid, kGid, kGroups);
  CHECK_FALSE(parse_status(whole.substr(0, whole.size() - 1)));
}

TEST_CASE("the error of a bad status names the line") {
  auto status = parse_status(status_with(kUid, "Gid:\t1\n", kGroups));

  REQUIRE_FALSE(status);
  CHECK(status.error().message == "line Gid: has 1 ids, not 4");
}

TEST_CASE("the start time is found behind any name a process may give itself") {
  for (const char* name : {"cat", "", "x) R 1 (y", ") ) )", "a b c d", "x\n) S 1"}) {
    CAPTURE(name);
    CHECK(parse_start_time(stat_with(name)) == 8675309);
  }
}

TEST_CASE("a stat that is cut off or garbled has no start time") {
  std::string whole = stat_with("cat");

  CHECK_FALSE(parse_start_time(""));
  CHECK_FALSE(parse_start_time("42 (cat"));
  CHECK_FALSE(parse_start_time("42 (cat) S 1\n"));
  CHECK_FALSE(parse_start_time(whole.substr(0, whole.find("309"))));
  CHECK_FALSE(parse_start_time("42 (cat) S 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 x 99 9\n"));
  CHECK_FALSE(parse_start_time("42 (cat) S 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 -1 99 9\n"));
}

TEST_CASE("the state is found behind any name, and must be there") {
  CHECK(parse_state(stat_with("a) Z 1 (b")) == 'S');
  CHECK_FALSE(parse_state(""));
  CHECK_FALSE(parse_state("42 (cat) Z\n"));
  CHECK_FALSE(parse_state("42 (cat) SS 1 2 3 4 5 6 7 8 9 1 2 3 4 5 6 7 8 9 1 99 9\n"));
}

TEST_CASE("only a user namespace that maps every uid has no overflow uid") {
  CHECK(maps_every_uid("         0          0 4294967295\n"));

  CHECK_FALSE(maps_every_uid(""));
  CHECK_FALSE(maps_every_uid("         0       1000          1\n"));
  CHECK_FALSE(maps_every_uid("         0     100000      65536\n"));
  CHECK_FALSE(maps_every_uid("         0          1 4294967295\n"));
  CHECK_FALSE(maps_every_uid("0 0 1\n1 1 4294967294\n"));
}

TEST_CASE("only a cgroup file of one line for hierarchy 0 is unified") {
  CHECK(is_unified("0::/\n"));
  CHECK(is_unified("0::/system.slice/a.service\n"));

  CHECK_FALSE(is_unified(""));
  CHECK_FALSE(is_unified("0::/"));
  CHECK_FALSE(is_unified("1:cpu:/\n"));
  CHECK_FALSE(is_unified("1:name=systemd:/a\n0::/a\n"));
  CHECK_FALSE(is_unified("0::/a\n1:name=systemd:/a\n"));
}

TEST_CASE("our own process directory can be read") {
  ProcDirectory self(::getpid());

  auto status = self.status();
  REQUIRE(status);
  CHECK(status->uid == ::geteuid());
  CHECK(status->gid == ::getegid());
  CHECK(self.start_time().value_or(0) > 0);
  CHECK(cgroup_of(self).value_or("").ends_with('\n'));
}

TEST_CASE("the executable is the file that stat knows") {
  ProcDirectory self(::getpid());
  struct stat expected_file {};
  REQUIRE(::stat("/proc/self/exe", &expected_file) == 0);

  auto exe = self.executable();
  REQUIRE(exe);
  auto file = status_of_file(*exe);

  REQUIRE(file);
  CHECK(self.executable_id() == file->id);
  CHECK(file->id == FileId{expected_file.st_dev, expected_file.st_ino});
  CHECK(file->links == expected_file.st_nlink);
}

// What `look` finds as a user that may not look at us, if we may become one, or at init.
template <class Look>
bool as_another_user(Look look) {
  bool is_root = ::geteuid() == 0;
  pid_t other = is_root ? ::getpid() : 1;
  if (!is_root) return look(other);
  pid_t child = ::fork();
  if (child == 0) ::_exit(::setuid(12345) == 0 && look(other) ? 0 : 1);
  int status = -1;
  ::waitpid(child, &status, 0);
  return status == 0;
}

TEST_CASE("an executable that may not be looked at is empty, not an error") {
  CHECK(as_another_user([](pid_t pid) {
    auto exe = ProcDirectory(pid).executable();
    return exe && !*exe && ProcDirectory(pid).executable_id() == FileId();
  }));
}

TEST_CASE("a process that has no executable has no id of one") {
  TemporaryDirectory root;
  root.write("7/status", "");

  ProcDirectory directory(7, root.path().c_str());
  auto exe = directory.executable();

  REQUIRE(exe);
  CHECK_FALSE(*exe);
  REQUIRE_FALSE(directory.executable_id());
  CHECK(directory.executable_id().error().code == Code::kNotFound);
}

TEST_CASE("a process that is not there is an error that names it") {
  TemporaryDirectory root;

  auto status = ProcDirectory(7, root.path().c_str()).status();

  REQUIRE_FALSE(status);
  CHECK(status.error().message.find("/7/status: No such file") != std::string::npos);
}

TEST_CASE("files of a process are read whole, but only up to a bound") {
  TemporaryDirectory root;
  root.write("7/cgroup", "0::/" + std::string(100'000, 'a') + "\n");
  root.write("8/cgroup", "0::/" + std::string(2'000'000, 'a') + "\n");
  root.write("9/cgroup", "0::/a");
  root.write("10/cgroup", "");

  auto cgroup_in = [&](pid_t pid) { return cgroup_of(ProcDirectory(pid, root.path().c_str())); };

  CHECK(cgroup_in(7).value_or("").size() == 100'005);
  CHECK(cgroup_in(8).error().code == Code::kResourceExhausted);
  CHECK(cgroup_in(9).error().message.ends_with("/9/cgroup: is cut off"));
  CHECK_FALSE(cgroup_in(10));
}

TEST_CASE("the error of a bad file names the file") {
  TemporaryDirectory root;
  root.write("7/status", "Name:\tx\n");
  root.write("7/stat", "7 (x\n");

  ProcDirectory directory(7, root.path().c_str());

  CHECK(directory.status().error().message.ends_with("/7/status: has no line Uid:"));
  CHECK(directory.start_time().error().message.ends_with("/7/stat: has no process name"));
  CHECK(directory.cgroup_file().error().code == Code::kNotFound);
}

TEST_CASE("an open cgroup file tells each change of its text") {
  for (std::size_t length : {1, 100, 2'000, 2'030, 2'044, 2'100, 50'000}) {
    CAPTURE(length);
    TemporaryDirectory root;
    std::string text = "1:cpu:/\n0::/" + std::string(length, 'a') + "\n";
    root.write("7/cgroup", text);
    auto file = ProcDirectory(7, root.path().c_str()).cgroup_file();
    REQUIRE(file);
    auto still_reads = [&](const std::string& now) {
      root.write("7/cgroup", now);
      return file->still_reads(text);
    };

    CHECK(file->read() == text);
    CHECK(still_reads(text) == true);
    CHECK(still_reads(text + "2:pids:/\n") == false);
    CHECK(still_reads("2" + text.substr(1)) == false);
    CHECK(still_reads(text.substr(0, text.size() - 2) + "b\n") == false);
    CHECK(still_reads("0::/\n") == false);
    CHECK(still_reads(text) == true);
    CHECK(file->read() == text);
  }
}

TEST_CASE("an open cgroup file stays with its process through exec") {
  ClientProcess client;
  auto file = ProcDirectory(client.pid()).cgroup_file();
  REQUIRE(file);
  auto text = file->read();
  REQUIRE(text);

  client.exec("/bin/cat");

  CHECK(file->still_reads(*text) == true);
}

TEST_CASE("an open cgroup file tells nothing once its process is gone") {
  ClientProcess client;
  auto file = ProcDirectory(client.pid()).cgroup_file();
  REQUIRE(file);
  auto text = file->read();
  REQUIRE(text);

  client.exit();
  client.reap();

  CHECK_FALSE(file->still_reads(*text));
  CHECK_FALSE(file->read());
}
