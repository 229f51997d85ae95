#include "sds/rpc/session_memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>

namespace nodepilot {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPages = 5 * kPage;
constexpr std::size_t kFrameBuffer = kPage - 128;  // where it begins
// Only a frame buffer is larger; to wipe one would touch all of it.
constexpr std::size_t kMaxWipedBytes = std::size_t{8} * 1024;

char* map_pages() {
  void* pages = ::mmap(nullptr, kPages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(pages);
}

std::size_t aligned(std::size_t size) {
  constexpr std::size_t kAlignment = alignof(std::max_align_t);
  return (size + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

struct SessionMemory::Functions {
  static SessionMemory& self(void* user) { return *static_cast<SessionMemory*>(user); }

  static void* malloc(std::size_t size, void* user) { return self(user).allocate(size); }
  static void free(void* block, void* user) { self(user).wipe_and_free(block); }
  static void* calloc(std::size_t count, std::size_t size, void* user) {
    std::size_t all = 0;
    if (__builtin_mul_overflow(count, size, &all)) return nullptr;
    return self(user).allocate_zeroed(all);
  }
  static void* realloc(void* block, std::size_t size, void* user) {
    return self(user).reallocate(block, size);
  }
};

SessionMemory::SessionMemory() : pages_(map_pages()) {}

SessionMemory::~SessionMemory() { ::munmap(pages_, kPages); }

nghttp2_mem SessionMemory::functions() {
  return {this, Functions::malloc, Functions::free, Functions::calloc, Functions::realloc};
}

bool SessionMemory::owns(const void* block) const {
  auto at = reinterpret_cast<std::uintptr_t>(block);      // NOLINT: it may be of another allocation
  auto begin = reinterpret_cast<std::uintptr_t>(pages_);  // NOLINT
  return at >= begin && at < begin + kPages;
}

void* SessionMemory::allocate(std::size_t size) {
  if (size <= kFrameBuffer - used_) {
    char* block = pages_ + used_;
    used_ = std::min(used_ + aligned(size), kFrameBuffer);
    return block;
  }
  if (!has_frame_buffer_ && size > kMaxWipedBytes && size <= kPages - kFrameBuffer) {
    has_frame_buffer_ = true;
    return pages_ + kFrameBuffer;
  }
  return std::malloc(size);
}

void* SessionMemory::allocate_zeroed(std::size_t size) {
  if (size <= kFrameBuffer - used_) return allocate(size);  // is used once only, and was zero
  return std::calloc(1, size);
}

// What is in our own pages goes with them; nothing else is put in its place.
void SessionMemory::wipe_and_free(void* block) {
  if (block == nullptr || owns(block)) return;
  std::size_t usable = malloc_usable_size(block);
  if (usable <= kMaxWipedBytes) explicit_bzero(block, usable);
  std::free(block);
}

// realloc() would free the old block unwiped.
void* SessionMemory::reallocate(void* block, std::size_t size) {
  if (block == nullptr) return allocate(size);
  std::size_t held = owns(block)
                         ? static_cast<std::size_t>(pages_ + kPages - static_cast<char*>(block))
                         : malloc_usable_size(block);
  if (!owns(block) && size <= held) return block;
  void* moved = allocate(size);
  if (moved == nullptr) return nullptr;
  std::memmove(moved, block, std::min(size, held));
  wipe_and_free(block);
  return moved;
}

}  // namespace nodepilot
