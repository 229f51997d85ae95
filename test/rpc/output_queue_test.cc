#include "sds/rpc/output_queue.h"

#include <doctest/doctest.h>

#include <array>

namespace nodepilot {
namespace {

std::shared_ptr<const std::string> shared(std::string text) {
  return std::make_shared<const std::string>(std::move(text));
}

std::string all(const OutputQueue& queue) {
  std::array<iovec, 16> vectors{};
  std::string text;
  for (std::size_t i = 0; i < queue.gather(vectors); ++i) {
    text.append(static_cast<const char*>(vectors.at(i).iov_base), vectors.at(i).iov_len);
  }
  return text;
}

TEST_CASE("copied and shared bytes keep their order") {
  OutputQueue queue;
  queue.append("<1>");
  queue.append("<2>");
  queue.append(shared("hello world"), 0, 5, 0);
  queue.append("<3>");

  CHECK(all(queue) == "<1><2>hello<3>");
  CHECK(queue.size() == 14);
}

TEST_CASE("a shared reply is not copied") {
  OutputQueue queue;
  auto reply = shared(std::string(1000, 'x'));
  queue.append(reply, 10, 20, 0);
  std::array<iovec, 4> vectors{};

  queue.gather(vectors);

  CHECK(vectors[0].iov_base == reply->data() + 10);
}

TEST_CASE("a message has gone once its last byte has, however the writes are cut") {
  std::string reply = "0123456789";
  for (std::size_t cut = 1; cut < 16; ++cut) {
    CAPTURE(cut);
    OutputQueue queue;
    queue.append("head:");
    queue.append(shared(reply), 0, 10, 7);
    queue.append("tail");

    auto first = queue.consume(cut);
    CHECK(all(queue) == std::string("head:0123456789tail").substr(cut));
    auto rest = queue.consume(queue.size());

    CHECK((first.size() == 1) == (cut >= 15));
    first.insert(first.end(), rest.begin(), rest.end());
    CHECK(first == std::vector<std::int32_t>{7});
    CHECK(queue.empty());
  }
}

TEST_CASE("bytes can be appended while earlier ones are half gone") {
  OutputQueue queue;
  queue.append("abcdef");
  queue.consume(2);

  queue.append("ghi");

  CHECK(all(queue) == "cdefghi");
}

TEST_CASE("a reply is let go as soon as it is written") {
  OutputQueue queue;
  auto reply = shared("secret");
  queue.append(reply, 0, 6, 1);
  queue.append("more");

  queue.consume(6);

  CHECK(reply.use_count() == 1);
}

}  // namespace
}  // namespace nodepilot
