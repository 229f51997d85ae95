// Memory for nghttp2 that is wiped before it is given back: header fields may hold a token, and
// what nghttp2 keeps is not ours to look after. Keys never get there: bodies go out by reference.
// Thread: any.
#pragma once

#include <nghttp2/nghttp2.h>

namespace nodepilot {

nghttp2_mem wiping_memory();

}  // namespace nodepilot
