#include "agent/base/sha256.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "agent/base/fd.h"
#include "test/support/temporary_directory.h"

using namespace nodepilot;

namespace {

constexpr std::size_t kNoLimit = std::size_t{1} << 30;

struct Rig {
  Fd open(std::string_view bytes) {
    return Fd(::open(directory.write("file", bytes).c_str(), O_RDONLY | O_CLOEXEC));
  }
  TemporaryDirectory directory;
};

}  // namespace

TEST_CASE("digests are those of the standard's examples") {
  Rig rig;

  CHECK(sha256_hex(rig.open("").get(), kNoLimit) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256_hex(rig.open("abc").get(), kNoLimit) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256_hex(rig.open(std::string(1'000'000, 'a')).get(), kNoLimit) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("bytes in memory have the digest of a file that holds them") {
  Rig rig;

  for (const std::string& bytes : {std::string(), std::string("a\0b", 3), std::string(5000, 'x')}) {
    CHECK(sha256_hex(bytes) == sha256_hex(rig.open(bytes).get(), kNoLimit));
  }
}

TEST_CASE("the whole file is hashed wherever its offset is, and the offset stays") {
  Rig rig;
  Fd file = rig.open("abc");
  REQUIRE(::lseek(file.get(), 2, SEEK_SET) == 2);

  auto digest = sha256_hex(file.get(), kNoLimit);

  CHECK(digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(::lseek(file.get(), 0, SEEK_CUR) == 2);
}

TEST_CASE("a file as large as the limit is hashed, a larger one is not") {
  Rig rig;
  Fd file = rig.open("abc");

  CHECK(sha256_hex(file.get(), 3));
  auto digest = sha256_hex(file.get(), 2);
  REQUIRE_FALSE(digest);
  CHECK(digest.error().code == Code::kResourceExhausted);
  CHECK(digest.error().message == "hash a file: larger than 2 bytes");
}

TEST_CASE("what cannot be read has no digest") {
  Rig rig;
  Fd directory(::open(rig.directory.path().c_str(), O_RDONLY | O_CLOEXEC));

  CHECK_FALSE(sha256_hex(directory.get(), kNoLimit));
  CHECK_FALSE(sha256_hex(-1, kNoLimit));
}
