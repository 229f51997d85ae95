// The memory of one nghttp2 session, wiped before it is given back: header fields may hold a token,
// and what nghttp2 keeps is not ours to look after. Keys never get there: bodies go out by
// reference.
//
// A session has a frame buffer of 16 KiB, of which it uses the first hundred bytes. Left to malloc,
// these and the ends of the pages around the rest are a quarter of what an idle connection costs.
// Here the session's first blocks, which live as long as it does, fill the page on which the frame
// buffer begins; its other pages are never touched.
// Thread: that of the session.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>

namespace nodepilot {

class SessionMemory {
 public:
  // Throws bad_alloc.
  SessionMemory();
  SessionMemory(const SessionMemory&) = delete;
  SessionMemory& operator=(const SessionMemory&) = delete;
  ~SessionMemory();

  // What nghttp2 is to use; void with this.
  nghttp2_mem functions();

 private:
  struct Functions;

  bool owns(const void* block) const;
  void* allocate(std::size_t size);
  void* allocate_zeroed(std::size_t size);
  void* reallocate(void* block, std::size_t size);
  void wipe_and_free(void* block);

  char* const pages_;
  std::size_t used_ = 0;  // of the first page, from its start
  bool has_frame_buffer_ = false;
};

}  // namespace nodepilot
