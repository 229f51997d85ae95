// What is to be written where, for programs that read files: `outputs` in the configuration.
// Thread: any (values).
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <variant>
#include <vector>

#include "agent/base/time.h"

namespace nodepilot {

// Which files a set has, and their names.
enum class OutputProfile {
  kPem,     // svid.pem, svid_key.pem, bundle.pem: the names of SPIFFE tools
  kTls,     // tls.crt, tls.key, ca.crt: those of a Kubernetes secret
  kBundle,  // credential-bundle.pem, the key and then the chain in one file; ca.crt
};

// A signal to the process whose id a file tells.
struct SignalHook {
  int signal = 0;
  std::filesystem::path pid_file;
  // Of the process; if empty, any will do.
  std::filesystem::path executable{};
};

// systemd is asked to reload a unit, and to say how that went.
struct ReloadHook {
  std::string unit;
};

// A program, without a shell.
struct ExecHook {
  std::vector<std::string> argv;  // argv[0] is an absolute path
};

// How a program learns of a new set.
struct Hook {
  std::variant<SignalHook, ReloadHook, ExecHook> action;
  Duration timeout = std::chrono::seconds(30);  // of one try; a signal takes no time
  int tries = 5;
  Duration delay =
      std::chrono::seconds(1);  // before the second try; then doubled, up to five minutes
};

// "signal SIGHUP", "reload nginx.service", "exec /usr/sbin/nginx": for logs and errors.
std::string describe(const Hook& hook);
// "SIGHUP", or the number of a signal without a name.
std::string signal_name(int signal);

// Names or numbers; empty: this process's own.
struct FileOwner {
  std::string user;
  std::string group;
};

struct Output {
  std::string entry_id;
  std::filesystem::path directory;  // ours alone
  OutputProfile profile = OutputProfile::kPem;
  FileOwner owner{};
  mode_t key_mode = 0600;  // of files that hold a key
  mode_t mode = 0644;      // of the others
  // Whether the roots of the trust domains that the entry federates with stand beside our own.
  bool federated = false;
  std::vector<Hook> hooks{};  // run in this order after each new set
};

}  // namespace nodepilot
