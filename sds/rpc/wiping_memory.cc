#include "sds/rpc/wiping_memory.h"

#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace nodepilot {
namespace {

void* allocate(std::size_t size, void*) { return std::malloc(size); }

void* allocate_zeroed(std::size_t count, std::size_t size, void*) {
  return std::calloc(count, size);
}

void wipe_and_free(void* memory, void*) {
  if (memory == nullptr) return;
  explicit_bzero(memory, malloc_usable_size(memory));
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
