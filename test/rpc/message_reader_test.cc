#include "sds/rpc/message_reader.h"

#include <doctest/doctest.h>

#include <vector>

namespace nodepilot {
namespace {

constexpr std::size_t kMax = 300;

std::string framed(std::string_view message, char flags = 0) {
  std::string bytes = {flags, 0, 0, static_cast<char>(message.size() >> 8),
                       static_cast<char>(message.size())};
  return bytes.append(message);
}

struct Read {
  std::vector<std::string> messages;
  expected<void> outcome;
};

// Feeds the pieces; stops at the first error.
Read read(MessageReader& reader, const std::vector<std::string_view>& pieces) {
  Read result;
  for (std::string_view piece : pieces) {
    for (;;) {
      auto message = reader.next(piece);
      if (!message) {
        result.outcome = tl::unexpected<Error>(message.error());
        return result;
      }
      if (!message->has_value()) break;
      result.messages.emplace_back(**message);
    }
  }
  return result;
}

TEST_CASE("messages come out whole wherever the bytes are split") {
  std::string bytes = framed("first") + framed("") + framed(std::string(kMax, 'x'));

  for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
    CAPTURE(cut);
    MessageReader reader(kMax);
    std::string_view view = bytes;

    Read result = read(reader, {view.substr(0, cut), view.substr(cut)});

    CHECK(result.outcome);
    CHECK(result.messages == std::vector<std::string>{"first", "", std::string(kMax, 'x')});
    CHECK_FALSE(reader.half_received());
  }
}

TEST_CASE("messages come out whole when they trickle in byte by byte") {
  std::string bytes = framed("first") + framed("") + framed("third");
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < bytes.size(); ++i)
    pieces.push_back(std::string_view(bytes).substr(i, 1));
  MessageReader reader(kMax);

  CHECK(read(reader, pieces).messages == std::vector<std::string>{"first", "", "third"});
}

TEST_CASE("a message that came whole is not copied") {
  MessageReader reader(kMax);
  std::string bytes = framed("hello");
  std::string_view view = bytes;

  auto message = reader.next(view);

  CHECK((*message)->data() == bytes.data() + 5);
  CHECK(reader.held() == 0);
}

TEST_CASE("a truncated message is half received, a truncated prefix too") {
  for (std::string_view bytes : {std::string_view("\0", 1), std::string_view("\0\0\0\0\2a", 6)}) {
    MessageReader reader(kMax);

    CHECK(read(reader, {bytes}).messages.empty());
    CHECK(reader.half_received());
  }
}

TEST_CASE("a compressed message is refused at its first prefix") {
  MessageReader reader(kMax);

  Read result = read(reader, {framed("zip", 1)});

  REQUIRE_FALSE(result.outcome);
  CHECK(result.outcome.error().code == Code::kUnimplemented);
}

TEST_CASE("flags that gRPC does not have are refused") {
  MessageReader reader(kMax);

  Read result = read(reader, {framed("x", 2)});

  REQUIRE_FALSE(result.outcome);
  CHECK(result.outcome.error().code == Code::kInternal);
}

TEST_CASE("a message that is too large is refused before a byte of it is buffered") {
  MessageReader reader(kMax);

  Read result = read(reader, {std::string_view("\0\xff\xff\xff\xff", 5)});

  REQUIRE_FALSE(result.outcome);
  CHECK(result.outcome.error().code == Code::kResourceExhausted);
  CHECK(result.outcome.error().message ==
        "a message has 4294967295 bytes; at most 300 are allowed");
  CHECK(reader.held() == 0);
}

TEST_CASE("a message of exactly the largest size is accepted, one byte more is not") {
  MessageReader reader(kMax);
  CHECK(read(reader, {framed(std::string(kMax, 'x'))}).outcome);

  CHECK_FALSE(read(reader, {framed(std::string(kMax + 1, 'x'))}).outcome);
}

TEST_CASE("the buffer of a message is given back once it was read") {
  MessageReader reader(kMax);
  std::string bytes = framed("hello");
  std::string_view view = bytes;
  read(reader, {view.substr(0, 7), view.substr(7)});

  std::string_view nothing;
  CHECK_FALSE(reader.next(nothing)->has_value());

  CHECK(reader.held() == 0);
}

}  // namespace
}  // namespace nodepilot
