#include "agent/harden.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "agent/base/log.h"

namespace nodepilot {

void harden_process() {
  rlimit no_core{0, 0};
  if (::setrlimit(RLIMIT_CORE, &no_core) != 0) log::warn("core files could not be turned off");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) log::warn("ptrace could not be turned off");
  ::umask(0027);
  // A client that goes away while we write to it must cost us one error, not the process.
  std::signal(SIGPIPE, SIG_IGN);

  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &files) != 0) log::warn("the file limit could not be raised");
  }
}

}  // namespace nodepilot
