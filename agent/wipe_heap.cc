// Wipes every heap block before it is given back. Keys pass through protobuf strings, shared reply
// buffers and the decoders of OpenSSL; wiping at the one place where memory is returned leaves no
// copy that somebody forgot. The price is a memset for each free.
#include "agent/wipe_heap.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <cstdlib>
#include <cstring>
#include <new>

namespace {

void* allocate(std::size_t size) {
  void* memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void wipe_and_free(void* memory) {
  if (memory == nullptr) return;
  explicit_bzero(memory, malloc_usable_size(memory));
  std::free(memory);
}

void* openssl_allocate(std::size_t size, const char*, int) { return std::malloc(size); }

void openssl_free(void* memory, const char*, int) { wipe_and_free(memory); }

// realloc() would free the old block unwiped.
void* openssl_reallocate(void* memory, std::size_t size, const char*, int) {
  if (memory == nullptr) return std::malloc(size);
  if (size == 0) {
    wipe_and_free(memory);
    return nullptr;
  }
  std::size_t usable = malloc_usable_size(memory);
  if (size <= usable) return memory;
  void* grown = std::malloc(size);
  if (grown == nullptr) return nullptr;
  std::memcpy(grown, memory, usable);
  wipe_and_free(memory);
  return grown;
}

}  // namespace

void* operator new(std::size_t size) { return allocate(size); }
void* operator new[](std::size_t size) { return allocate(size); }
void operator delete(void* memory) noexcept { wipe_and_free(memory); }
void operator delete[](void* memory) noexcept { wipe_and_free(memory); }
void operator delete(void* memory, std::size_t) noexcept { wipe_and_free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { wipe_and_free(memory); }

namespace nodepilot {

bool wipe_openssl_heap() {
  return CRYPTO_set_mem_functions(openssl_allocate, openssl_reallocate, openssl_free) == 1;
}

}  // namespace nodepilot
