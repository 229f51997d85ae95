#include "sds/file_secret.h"

#include <doctest/doctest.h>

#include "test/sds/file_kit.h"

namespace nodepilot {
namespace {

using testing::FileRig;
using testing::key_pem;
using testing::kNow;
using testing::make_entry;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::vector<EntryPtr> granting(const std::vector<std::vector<fs::path>>& directories) {
  std::vector<EntryPtr> entries;
  for (const auto& files : directories) {
    Entry entry = make_entry("e" + std::to_string(entries.size()));
    entry.files = files;
    entries.push_back(std::make_shared<const Entry>(entry));
  }
  return entries;
}

std::string error_of(const expected<FileSource>& source) {
  REQUIRE_FALSE(source);
  return source.error().message;
}

TEST_CASE("names of files are told from others by how they begin") {
  CHECK(is_file_name("file-cert:/a~/b"));
  CHECK(is_file_name("file-root:/a"));
  CHECK(is_file_name("file-root:system"));
  for (const char* other :
       {"", "file", "file-cert", "file-other:/a", "FILE-ROOT:/a", " file-root:"}) {
    CHECK_FALSE(is_file_name(other));
  }
}

TEST_CASE("a file is found in the directory that an entry of the caller grants") {
  auto entries = granting({{}, {"/etc/a", "/etc/b"}, {"/srv"}});

  auto pair = find_source("file-cert:/etc/b/x/tls.crt~/srv/tls.key", entries, false);
  auto roots = find_source("file-root:/etc/a/ca.pem", entries, false);

  REQUIRE(pair);
  CHECK(pair->certificates == GrantedFile{"/etc/b", "x/tls.crt"});
  CHECK(pair->key == GrantedFile{"/srv", "tls.key"});
  REQUIRE(roots);
  CHECK(roots->certificates == GrantedFile{"/etc/a", "ca.pem"});
  CHECK_FALSE(roots->key);
}

TEST_CASE("of two directories that hold a file the one named more closely counts") {
  auto entries = granting({{"/etc"}, {"/etc/a/b"}, {"/etc/a"}});

  CHECK(find_source("file-root:/etc/a/b/c", entries, false)->certificates ==
        GrantedFile{"/etc/a/b", "c"});
}

TEST_CASE("what no entry grants is refused") {
  auto entries = granting({{"/etc/a"}});

  for (const char* name :
       {"file-root:/etc/ab", "file-root:/etc/a", "file-root:/etc/b/c", "file-root:/a",
        "file-cert:/etc/a/c~/etc/b/k", "file-cert:/etc/b/c~/etc/a/k"}) {
    auto source = find_source(name, entries, true);

    CAPTURE(name);
    REQUIRE_FALSE(source);
    CHECK(source.error().code == Code::kPermissionDenied);
  }
  CHECK(error_of(find_source("file-root:/etc/a/b", granting({{}}), true)) ==
        "no entry of this caller grants \"/etc/a/b\": `files` of the identity must name its "
        "directory");
}

TEST_CASE("only a path spelled the one absolute way is a name") {
  auto entries = granting({{"/etc/a"}});

  for (const std::string& path :
       {std::string(), std::string("a"), std::string("/etc/a/../a/b"), std::string("/etc/a/./b"),
        std::string("/etc//a/b"), std::string("/etc/a/b/"), std::string("/etc/a/b\0c", 10),
        std::string("~")}) {
    auto source = find_source("file-root:" + path, entries, true);

    CAPTURE(path);
    REQUIRE_FALSE(source);
    CHECK(source.error().code == Code::kInvalidArgument);
  }
  CHECK(error_of(find_source("file-cert:/etc/a/b", entries, true)) ==
        "must be file-cert:CERTIFICATE~KEY");
  CHECK_FALSE(find_source("file-cert:/etc/a/b~/etc/a/c~/etc/a/d", entries, true)->key->path == "c");
}

TEST_CASE("the operating system's roots need no grant but can be switched off") {
  auto system = find_source("file-root:system", granting({{}}), true);
  REQUIRE(system);
  CHECK(system->certificates == GrantedFile{"", "system"});

  CHECK(error_of(find_source("file-root:system", granting({{"/"}}), false)) ==
        "`sds.system_roots` is off");
  CHECK_FALSE(find_source("file-cert:system~system", granting({{}}), true));
}

TEST_CASE("a chain and its key are read together") {
  FileRig rig;
  SvidPtr svid = rig.ca.issue(rig.entry);
  rig.write(*svid);

  auto secret = read_secret(rig.source(rig.pair_name()), nullptr, kNow);

  REQUIRE(secret);
  CHECK((*secret)->certificates == svid->chain());
  REQUIRE((*secret)->key);
  CHECK(svid->leaf().has_key(*(*secret)->key));
  CHECK((*secret)->version.size() == 64);
}

TEST_CASE("unchanged bytes are not parsed again, changed ones are") {
  FileRig rig;
  FileSource source = rig.source(rig.pair_name());
  auto first = read_secret(source, nullptr, kNow).value();

  CHECK(read_secret(source, first, kNow).value() == first);
  rig.write(*rig.ca.issue(rig.entry));
  auto second = read_secret(source, first, kNow).value();

  CHECK(second != first);
  CHECK(second->version != first->version);
}

TEST_CASE("a pair that does not belong together is refused") {
  FileRig rig;
  rig.directory.write("tls.key", key_pem(*rig.ca.issue(rig.entry)));

  auto secret = read_secret(rig.source(rig.pair_name()), nullptr, kNow);

  REQUIRE_FALSE(secret);
  CHECK(secret.error().message ==
        rig.path("tls.crt") + ": is not of the key " + rig.path("tls.key"));
}

TEST_CASE("a CA's certificate is refused, whatever directory the operator granted") {
  FileRig rig;
  auto key = PrivateKey::generate().value();
  auto root = make_root(key, TrustDomain::parse("example.org").value(), {kNow - 1h, kNow + 1h});
  const SecretBytes pem = key.pkcs8_pem();
  rig.directory.write("tls.crt", root->pem());
  rig.directory.write("tls.key", std::string(pem.begin(), pem.end()));

  auto secret = read_secret(rig.source(rig.pair_name()), nullptr, kNow);

  REQUIRE_FALSE(secret);
  CHECK(secret.error().message.find("is a CA's") != std::string::npos);
}

TEST_CASE("a certificate out of its time is refused, read before or not") {
  FileRig rig;
  FileSource source = rig.source(rig.pair_name());
  auto known = read_secret(source, nullptr, kNow).value();

  for (const FileSecretPtr& before : {FileSecretPtr(), known}) {
    CHECK(read_secret(source, before, kNow + 1h));
    for (Duration offset : {Duration(-1s), Duration(1h + 1s)}) {
      auto secret = read_secret(source, before, kNow + offset);
      REQUIRE_FALSE(secret);
      CHECK(secret.error().message.find("is valid from 2026-01-01T00:00:00Z to "
                                        "2026-01-01T01:00:00Z, but it is ") != std::string::npos);
    }
  }
}

TEST_CASE("what is no PEM of its kind is refused with the name of the file") {
  FileRig rig;
  SUBCASE("no certificate") {
    rig.directory.write("tls.crt", "nothing");
    CHECK(read_secret(rig.source(rig.pair_name()), nullptr, kNow)
              .error()
              .message.find(rig.path("tls.crt") + ": ") == 0);
  }
  SUBCASE("no key") {
    rig.directory.write("tls.key", concatenated_pem(rig.ca.bundle()->roots()));
    CHECK(read_secret(rig.source(rig.pair_name()), nullptr, kNow)
              .error()
              .message.find(rig.path("tls.key") + ": ") == 0);
  }
  SUBCASE("a key as roots") {
    rig.directory.write("ca.crt", key_pem(*rig.ca.issue(rig.entry)));
    CHECK(read_secret(rig.source(rig.roots_name()), nullptr, kNow)
              .error()
              .message.find(rig.path("ca.crt") + ": roots: no usable") == 0);
  }
  SUBCASE("a missing file") {
    fs::remove(rig.path("tls.key"));
    CHECK(read_secret(rig.source(rig.pair_name()), nullptr, kNow).error().code == Code::kNotFound);
  }
  SUBCASE("a key that is too large") {
    rig.directory.write("tls.key", std::string(kMaxPrivateKeyPemBytes + 1, 'x'));
    CHECK(read_secret(rig.source(rig.pair_name()), nullptr, kNow).error().code ==
          Code::kResourceExhausted);
  }
}

TEST_CASE("a link out of the granted directory is refused") {
  FileRig rig;
  TemporaryDirectory elsewhere;
  fs::path target = elsewhere.write("ca.crt", rig.ca.bundle()->pem());
  fs::remove(rig.path("ca.crt"));
  fs::create_symlink(target, rig.path("ca.crt"));

  auto secret = read_secret(rig.source(rig.roots_name()), nullptr, kNow);

  REQUIRE_FALSE(secret);
  CHECK(secret.error().code == Code::kPermissionDenied);
}

TEST_CASE("roots are read as they stand in the file") {
  FileRig rig;

  auto secret = read_secret(rig.source(rig.roots_name()), nullptr, kNow);

  REQUIRE(secret);
  CHECK((*secret)->certificates == rig.ca.bundle()->roots());
  CHECK_FALSE((*secret)->key);
  CHECK(read_secret(rig.source(rig.roots_name()), *secret, kNow).value() == *secret);
}

}  // namespace
}  // namespace nodepilot
