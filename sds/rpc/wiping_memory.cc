#include "sds/rpc/wiping_memory.h"

#include <malloc.h>

#include <cstdlib>
#include <cstring>

namespace nodepilot {
namespace {

// A session's frame buffer is larger. Bodies do not pass through it, and to wipe it would touch
// all of its pages, of which a session uses one: a third of what a connection costs.
constexpr std::size_t kMaxWipedBytes = std::size_t{8} * 1024;

void* allocate(std::size_t size, void*) { return std::malloc(size); }

void* allocate_zeroed(std::size_t count, std::size_t size, void*) {
  return std::calloc(count, size);
}

void wipe_and_free(void* memory, void*) {
  if (memory == nullptr) return;
  std::size_t usable = malloc_usable_size(memory);
  if (usable <= kMaxWipedBytes) explicit_bzero(memory, usable);
  std::free(memory);
}

// realloc() would free the old block unwiped.
void* reallocate(void* memory, std::size_t size, void* context) {
  std::size_t usable = memory == nullptr ? 0 : malloc_usable_size(memory);
  if (memory != nullptr && size <= usable) return memory;
  void* grown = std::malloc(size);
  if (grown == nullptr) return nullptr;
  if (memory != nullptr) std::memcpy(grown, memory, usable);
  wipe_and_free(memory, context);
  return grown;
}

}  // namespace

nghttp2_mem wiping_memory() {
  return {nullptr, allocate, wipe_and_free, allocate_zeroed, reallocate};
}

}  // namespace nodepilot
