#include "attest/procfs.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "test/support/temporary_directory.h"

using namespace nodepilot;

TEST_CASE("processes are looked at in the procfs that is named") {
  auto procfs = Procfs::open("/proc");

  REQUIRE(procfs);
  auto status = procfs->process(::getpid()).status();
  REQUIRE(status);
  CHECK(status->uid == ::geteuid());
}

TEST_CASE("what is no procfs is refused, and the error says what was named") {
  TemporaryDirectory directory;

  auto procfs = Procfs::open(directory.path().string());

  REQUIRE_FALSE(procfs);
  CHECK(procfs.error().code == Code::kFailedPrecondition);
  CHECK(procfs.error().message.find(directory.path().string()) != std::string::npos);
  CHECK(procfs.error().message.find("is no procfs") != std::string::npos);
  CHECK_FALSE(Procfs::open("/proc/none"));
  CHECK_FALSE(Procfs::open("proc"));
  CHECK_FALSE(Procfs::open(""));
}

TEST_CASE("a process is in as many pid namespaces as it has pids") {
  CHECK(parse_pid_namespaces("Name:\tx\nNSpid:\t12\n") == 1);
  CHECK(parse_pid_namespaces("Name:\tx\nNSpid:\t12345\t1\n") == 2);
  CHECK_FALSE(parse_pid_namespaces("Name:\tx\n"));
  CHECK_FALSE(parse_pid_namespaces("NSpid:\tx\n"));
}
