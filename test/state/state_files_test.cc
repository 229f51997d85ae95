#include "rotation/state/state_files.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "rotation/state/stored_svid.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

const std::string kWeb = svid_file("spiffe://td/web");

std::unique_ptr<StateDirectory> open(const fs::path& directory) {
  return StateDirectory::open(directory).value();
}

std::string text_of(const SecretBytes& bytes) { return {bytes.begin(), bytes.end()}; }

mode_t mode_of(const fs::path& path) {
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

TEST_CASE("a file's name is a hash of the entry's ID") {
  CHECK(kWeb.size() == 64 + 5);
  CHECK(kWeb != svid_file("spiffe://td/web#2"));
}

TEST_CASE("directory and files are for the owner only, whatever the umask") {
  TemporaryDirectory folder;
  mode_t old = ::umask(0);

  auto files = open(folder / "sealed");
  REQUIRE(files->write(kWeb, "bytes"));
  ::umask(old);

  CHECK(mode_of(folder / "sealed") == 0700);
  CHECK(mode_of(folder / "sealed" / kWeb) == 0600);
  CHECK(text_of(files->read(kWeb).value()) == "bytes");
}

TEST_CASE("what was written over, removed or set aside is as it is said to be") {
  TemporaryDirectory folder;
  auto files = open(folder / "sealed");
  REQUIRE(files->write("bundle", "1"));
  REQUIRE(files->write("bundle", "2"));
  CHECK(text_of(files->read("bundle").value()) == "2");

  REQUIRE(files->set_aside("bundle"));
  CHECK(files->read("bundle").error().code == Code::kNotFound);
  CHECK(files->list().value() == std::set<std::string>{"bundle.bad"});

  REQUIRE(files->remove("bundle.bad"));
  REQUIRE(files->remove("bundle.bad"));
  CHECK(files->list().value().empty());
}

TEST_CASE("a second agent is kept out, a later one is not") {
  TemporaryDirectory folder;
  auto first = open(folder / "sealed");

  auto second = StateDirectory::open(folder / "sealed");
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Code::kUnavailable);
  CHECK(second.error().message.find("another agent keeps its state there") != std::string::npos);

  first.reset();
  CHECK(StateDirectory::open(folder / "sealed"));
}

TEST_CASE("who may follow reads beside the other, and writes once that has released the files") {
  TemporaryDirectory folder;
  auto first = open(folder / "sealed");
  REQUIRE(first->write("bundle", "one"));

  auto second = StateDirectory::open(folder / "sealed", true);
  REQUIRE(second);
  StateFiles& files = **second;
  CHECK(files.read("bundle").value().size() == 3);
  CHECK_FALSE(files.write("bundle", "three"));
  CHECK_FALSE(files.remove("bundle"));
  CHECK_FALSE(files.set_aside("bundle"));
  CHECK(first->read("bundle").value().size() == 3);

  first->release();
  CHECK(files.write("bundle", "three"));
  CHECK_FALSE(first->write("bundle", "four"));
  CHECK(first->read("bundle").value().size() == 5);
}

TEST_CASE("a directory that others may enter, or that is a link, is refused") {
  TemporaryDirectory folder;
  fs::create_directory(folder / "open");
  ::chmod((folder / "open").c_str(), 0750);
  fs::create_directory_symlink(folder / "open", folder / "link");
  folder.write("file", "");

  CHECK(StateDirectory::open(folder / "open").error().message.find("chmod 0700") !=
        std::string::npos);
  CHECK_FALSE(StateDirectory::open(folder / "link"));
  CHECK_FALSE(StateDirectory::open(folder / "file"));
}

TEST_CASE("files of others in the directory are neither listed nor touched") {
  TemporaryDirectory folder;
  open(folder / "sealed");
  for (const char* name : {"notes", ".notes.1.tmp", ".bundle.x.tmp", ".bundle.tmp", "x.svid",
                           "bundle.bad.bad", "sealed/lost"}) {
    folder.write("sealed/" + std::string(name), "mine");
  }

  auto files = open(folder / "sealed");

  CHECK(files->list().value().empty());
  for (const char* name : {"notes", ".notes.1.tmp", ".bundle.x.tmp", ".bundle.tmp"}) {
    CHECK(fs::exists(folder / "sealed" / name));
  }
}

TEST_CASE("a file larger than any of ours is not read") {
  TemporaryDirectory folder;
  auto files = open(folder / "sealed");
  REQUIRE(files->write("bundle", std::string(kMaxStoredBytes + 1, ' ')));

  CHECK(files->read("bundle").error().code == Code::kResourceExhausted);
}

TEST_CASE("a disk that cannot be written is no reason not to start") {
  TemporaryDirectory folder;

  auto files = StateDirectory::open(folder / "missing/sealed");

  REQUIRE(files);
  CHECK((*files)->list().value().empty());
  CHECK_FALSE((*files)->write("bundle", "1"));
  fs::create_directory(folder / "missing");
  CHECK((*files)->write("bundle", "1"));
}

}  // namespace
}  // namespace nodepilot
