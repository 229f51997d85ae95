#include "sds/rpc/frame_boundary.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

namespace nodepilot {
namespace {

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string frame(std::size_t length) {
  std::string bytes = {static_cast<char>(length >> 16), static_cast<char>(length >> 8),
                       static_cast<char>(length)};
  return bytes + std::string(6, '\x7f') + std::string(length, '\xff');
}

TEST_CASE("only the ends of the preface and of frames are boundaries") {
  std::string bytes = kPreface + frame(0) + frame(3) + frame(300) + frame(0);
  std::set<std::size_t> ends = {24, 33, 45, 354, 363};
  FrameBoundary boundary;
  CHECK(boundary.inside());

  for (std::size_t i = 0; i < bytes.size(); ++i) {
    boundary.read(std::string_view(bytes).substr(i, 1));
    CAPTURE(i);
    CHECK(boundary.inside() != ends.contains(i + 1));
  }
}

TEST_CASE("where reads are split makes no difference") {
  std::string bytes = kPreface + frame(70000) + frame(5);

  for (std::size_t cut = 0; cut < bytes.size(); cut += 97) {
    FrameBoundary boundary;
    boundary.read(std::string_view(bytes).substr(0, cut));
    boundary.read(std::string_view(bytes).substr(cut));
    CAPTURE(cut);
    CHECK_FALSE(boundary.inside());
  }
}

}  // namespace
}  // namespace nodepilot
