// What the process does to itself before it holds a key.
#pragma once

namespace nodepilot {

// No core files, no ptrace by the same uid, umask 0027, SIGPIPE ignored, as many file descriptors
// as the hard limit allows. What the kernel refuses is logged and goes on. Thread: start.
void harden_process();

}  // namespace nodepilot
