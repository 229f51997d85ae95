// Where cjose keeps what passes through it: tokens, which whoever reads them can use.
#pragma once

namespace nodepilot {

// cjose takes its memory from OpenSSL's allocator, which the binary has made to wipe what it frees
// (agent/wipe_heap.h). Thread: start of main(), before cjose is used.
void share_openssl_heap_with_jose();

}  // namespace nodepilot
