#include "sds/rpc/session_memory.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

namespace nodepilot {
namespace {

struct Rig {
  SessionMemory owner;
  nghttp2_mem memory = owner.functions();

  char* allocate(std::size_t size) {
    return static_cast<char*>(memory.malloc(size, memory.mem_user_data));
  }
  char* reallocate(void* block, std::size_t size) {
    return static_cast<char*>(memory.realloc(block, size, memory.mem_user_data));
  }
  void free(void* block) { memory.free(block, memory.mem_user_data); }
};

TEST_CASE("what is reallocated keeps its bytes") {
  Rig rig;
  char* first = rig.allocate(6);
  rig.allocate(3900);  // fills the first page
  char* later = rig.allocate(100);

  for (char* block : {first, later}) {
    std::memcpy(block, "bytes", 6);
    for (std::size_t size : {100, 10000, 50000, 20}) {
      block = rig.reallocate(block, size);
      CHECK(std::string_view(block) == "bytes");
    }
    rig.free(block);
  }
}

TEST_CASE("what is reallocated from nothing is allocated; nothing can be freed") {
  Rig rig;

  char* block = rig.reallocate(nullptr, 8);

  CHECK(block != nullptr);
  rig.free(block);
  rig.free(nullptr);
}

TEST_CASE("counted memory comes zeroed, whatever was freed before") {
  Rig rig;

  for (std::size_t size : {1, 16, 3000, 3000, 20000}) {
    auto* block = static_cast<char*>(rig.memory.calloc(2, size, rig.memory.mem_user_data));
    REQUIRE(block != nullptr);
    CHECK(std::count(block, block + 2 * size, '\0') == static_cast<std::ptrdiff_t>(2 * size));
    std::memset(block, 'x', 2 * size);
    rig.free(block);
  }
  CHECK(rig.memory.calloc(SIZE_MAX, 2, rig.memory.mem_user_data) == nullptr);
}

TEST_CASE("blocks are aligned and do not overlap") {
  Rig rig;
  const std::size_t sizes[] = {2928, 1, 1000, 16394, 100, 1024, 16394, 4096, 50000, 9000};
  std::vector<char*> blocks;

  for (std::size_t size : sizes) {
    blocks.push_back(rig.allocate(size));
    REQUIRE(reinterpret_cast<std::uintptr_t>(blocks.back()) % alignof(std::max_align_t) == 0);
    std::memset(blocks.back(), static_cast<int>(blocks.size()), size);
  }

  for (std::size_t i = 0; i < blocks.size(); ++i) {
    auto mark = static_cast<char>(i + 1);
    CHECK(std::count(blocks[i], blocks[i] + sizes[i], mark) ==
          static_cast<std::ptrdiff_t>(sizes[i]));
    rig.free(blocks[i]);
  }
}

TEST_CASE("a frame buffer begins on the page of a session's first blocks") {
  Rig rig;
  char* session = rig.allocate(2928);
  rig.allocate(1024);

  char* frame_buffer = rig.allocate(16394);

  CHECK(frame_buffer - session < 4096);
}

}  // namespace
}  // namespace nodepilot
