// Memory for nghttp2 that is wiped before it is given back: what passes through its buffers may
// be a key or a token. Thread: any.
#pragma once

#include <nghttp2/nghttp2.h>

namespace nodepilot {

nghttp2_mem wiping_memory();

}  // namespace nodepilot
