#include "sds/rpc/wiping_memory.h"

#include <doctest/doctest.h>

#include <cstring>
#include <string_view>

namespace nodepilot {
namespace {

TEST_CASE("what is reallocated keeps its bytes") {
  nghttp2_mem memory = wiping_memory();
  void* block = memory.malloc(6, nullptr);
  std::memcpy(block, "bytes", 6);

  for (std::size_t size : {100, 10000, 50000, 20}) {
    block = memory.realloc(block, size, nullptr);
    CHECK(std::string_view(static_cast<char*>(block)) == "bytes");
  }

  memory.free(block, nullptr);
}

TEST_CASE("what is reallocated from nothing is allocated; nothing can be freed") {
  nghttp2_mem memory = wiping_memory();

  void* block = memory.realloc(nullptr, 8, nullptr);

  CHECK(block != nullptr);
  memory.free(block, nullptr);
  memory.free(nullptr, nullptr);
}

TEST_CASE("counted memory comes zeroed") {
  nghttp2_mem memory = wiping_memory();

  auto* block = static_cast<char*>(memory.calloc(4, 4, nullptr));

  CHECK(std::string_view(block, 16) == std::string_view("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16));
  memory.free(block, nullptr);
}

}  // namespace
}  // namespace nodepilot
