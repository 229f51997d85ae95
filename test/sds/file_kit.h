// Secrets in files, for tests.
#pragma once

#include <string>

#include "sds/file_secret.h"
#include "test/sds/kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot::testing {

inline std::string key_pem(const X509Svid& svid) {
  const SecretBytes pem = svid.key().pkcs8_pem();
  return {pem.begin(), pem.end()};
}

// A directory with tls.crt, tls.key and ca.crt, granted by an entry.
struct FileRig {
  FileRig() : ca("example.org"), entry(make_entry("web")) {
    entry.files = {directory.path()};
    write(*ca.issue(entry));
    directory.write("ca.crt", ca.bundle()->pem());
  }

  void write(const X509Svid& svid) {
    directory.write("tls.crt", concatenated_pem(svid.chain()));
    directory.write("tls.key", key_pem(svid));
  }
  std::string path(const std::string& name) const { return (directory / name).string(); }
  std::string pair_name() const { return "file-cert:" + path("tls.crt") + "~" + path("tls.key"); }
  std::string roots_name() const { return "file-root:" + path("ca.crt"); }
  FileSource source(const std::string& name) const {
    auto source = find_source(name, {std::make_shared<const Entry>(entry)}, true);
    REQUIRE(source);
    return *source;
  }

  TemporaryDirectory directory;
  TestCa ca;
  Entry entry;
};

}  // namespace nodepilot::testing
