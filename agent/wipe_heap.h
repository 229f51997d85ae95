// The binary's heap is wiped as it is freed: operator delete by linking wipe_heap.cc, OpenSSL's
// heap by this call.
#pragma once

namespace nodepilot {

// Must run before anything of OpenSSL does; false if that came too late. Thread: start of main().
bool wipe_openssl_heap();

}  // namespace nodepilot
