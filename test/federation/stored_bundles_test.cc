#include "rotation/federation/stored_bundles.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "test/federation/kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

struct Rig {
  Rig() { REQUIRE(stored.open({domain("b.org")})); }

  TemporaryDirectory directory;
  StoredBundles stored{directory / "state"};
  fs::path file = directory / "state/federation/b.org.json";
};

TEST_CASE("a saved bundle is loaded as it was") {
  Rig rig;
  BundleDocument document = make_document("b.org", 7, 30s);

  REQUIRE(rig.stored.save(document));
  auto loaded = rig.stored.load(domain("b.org"));

  REQUIRE(loaded);
  REQUIRE(*loaded);
  CHECK((*loaded)->bundle == document.bundle);
  CHECK((*loaded)->sequence == 7);
  CHECK((*loaded)->refresh_hint == 30s);
}

TEST_CASE("a copy is for the owner only, and names its trust domain") {
  Rig rig;
  REQUIRE(rig.stored.save(make_document("b.org", 7)));

  struct stat status {};
  REQUIRE(::stat(rig.file.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
  CHECK(read_text(rig.file).starts_with(R"({"trust_domain":"b.org","bundle":{)"));
}

TEST_CASE("without a copy there is nothing to load") {
  Rig rig;

  auto loaded = rig.stored.load(domain("b.org"));

  REQUIRE(loaded);
  CHECK_FALSE(*loaded);
}

TEST_CASE("a damaged copy is set aside, not used") {
  for (const char* text :
       {"", "junk", "{}", R"({"trust_domain":"b.org"})", R"({"trust_domain":"b.org","bundle":{}})",
        R"({"trust_domain":"c.org","bundle":{"keys":[]}})",
        R"({"trust_domain":1,"bundle":{"keys":[]}})", "[]"}) {
    CAPTURE(text);
    Rig rig;
    rig.directory.write("state/federation/b.org.json", text);

    auto loaded = rig.stored.load(domain("b.org"));

    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code == Code::kDataLoss);
    CHECK(has(loaded.error().message, "set aside as b.org.json.corrupt"));
    CHECK_FALSE(fs::exists(rig.file));
    CHECK(read_text(rig.file.string() + ".corrupt") == text);
  }
}

TEST_CASE("a copy that is too large is not read") {
  Rig rig;
  rig.directory.write("state/federation/b.org.json", std::string(2 * 1024 * 1024, ' '));

  auto loaded = rig.stored.load(domain("b.org"));

  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().code == Code::kResourceExhausted);
}

TEST_CASE("copies of former federations are deleted, all else is left alone") {
  Rig rig;
  REQUIRE(rig.stored.save(make_document("b.org", 1)));
  REQUIRE(rig.stored.save(make_document("c.org", 1)));
  rig.directory.write("state/federation/c.org.json.corrupt", "x");
  rig.directory.write("state/federation/b.org.json.corrupt", "x");
  rig.directory.write("state/federation/notes.txt", "x");

  REQUIRE(rig.stored.open({domain("b.org")}));

  CHECK(rig.stored.load(domain("b.org")).value());
  CHECK_FALSE(rig.stored.load(domain("c.org")).value());
  CHECK_FALSE(fs::exists(rig.directory / "state/federation/c.org.json.corrupt"));
  CHECK(fs::exists(rig.directory / "state/federation/b.org.json.corrupt"));
  CHECK(fs::exists(rig.directory / "state/federation/notes.txt"));
}

TEST_CASE("without federations nothing is made, and nothing kept") {
  TemporaryDirectory directory;
  REQUIRE(StoredBundles(directory / "state").open({}));
  CHECK_FALSE(fs::exists(directory / "state"));

  Rig rig;
  REQUIRE(rig.stored.save(make_document("b.org", 1)));
  REQUIRE(rig.stored.open({}));
  CHECK_FALSE(rig.stored.load(domain("b.org")).value());
}

TEST_CASE("the longest trust domain has a copy, too") {
  Rig rig;
  std::string name(255, 'b');

  REQUIRE(rig.stored.save(make_document(name, 1)));

  auto loaded = rig.stored.load(domain(name));
  REQUIRE(loaded);
  CHECK(loaded->has_value());
}

TEST_CASE("a first bundle may be JSON or PEM") {
  TemporaryDirectory directory;
  BundleDocument document = make_document("b.org", 3);
  auto json = directory.write("b.json", write_bundle_document(document));
  auto pem = directory.write("b.pem", document.bundle.pem());
  fs::create_symlink(pem, directory / "link.pem");

  auto from_json = read_first_bundle(domain("b.org"), json);
  auto from_pem = read_first_bundle(domain("b.org"), pem);

  REQUIRE(from_json);
  CHECK(from_json->bundle == document.bundle);
  CHECK(from_json->sequence == 3);
  REQUIRE(from_pem);
  CHECK(from_pem->bundle.roots() == document.bundle.roots());
  CHECK_FALSE(from_pem->sequence);
  CHECK(read_first_bundle(domain("b.org"), directory / "link.pem"));
}

TEST_CASE("a first bundle must hold a root") {
  TemporaryDirectory directory;
  PrivateKey key = PrivateKey::generate().value();
  Certificate leaf = test::TestCa::root().leaf(key, "spiffe://b.org/a");
  auto refusal = [&](const std::string& text) {
    auto document = read_first_bundle(domain("b.org"), directory.write("first", text));
    return document ? "accepted" : document.error().message;
  };

  CHECK(has(refusal(R"({"keys":[]})"), "holds no CA certificate"));
  CHECK(has(refusal(leaf.pem()), "holds no CA certificate"));
  CHECK(has(refusal("{"), "first: bundle of b.org: "));
  CHECK(has(refusal("junk"), "first: certificates: "));
  CHECK_FALSE(read_first_bundle(domain("b.org"), directory / "none"));
}

}  // namespace
}  // namespace nodepilot
