#include "sds/rpc/request_head.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

RequestHead good(std::size_t max_bytes = 1000) {
  RequestHead head(max_bytes);
  head.add(":method", "POST");
  head.add(":scheme", "http");
  head.add(":path", "/a.B/C");
  head.add("te", "trailers");
  head.add("content-type", "application/grpc");
  return head;
}

TEST_CASE("metadata is what the client added, repeats included") {
  RequestHead head = good();
  head.add("workload.spiffe.io", "true");
  head.add("tag", "1");
  head.add("tag", "2");

  CHECK_FALSE(head.refusal());
  CHECK(head.path() == "/a.B/C");
  Metadata metadata = head.take_metadata();
  CHECK(metadata.fields.size() == 3);
  CHECK(metadata.all("workload.spiffe.io") == std::vector<std::string_view>{"true"});
  CHECK(metadata.all("tag") == std::vector<std::string_view>{"1", "2"});
  CHECK(metadata.all("te").empty());
}

TEST_CASE("a request without te is served: some proxies drop it") {
  RequestHead head(1000);
  head.add(":method", "POST");
  head.add("content-type", "application/grpc+proto");

  CHECK_FALSE(head.refusal());
}

TEST_CASE("what is not POST is answered as HTTP") {
  RequestHead head(1000);
  head.add(":method", "GET");
  head.add("content-type", "application/grpc");

  CHECK(head.refusal()->http_status == 405);
}

TEST_CASE("another content type is answered as HTTP") {
  RequestHead head(1000);
  head.add(":method", "POST");
  head.add("content-type", "text/plain");

  CHECK(head.refusal()->http_status == 415);
}

TEST_CASE("headers over the bound are refused and not stored") {
  RequestHead head = good();

  CHECK(head.add("big", std::string(2000, 'x')));

  auto refusal = head.refusal();
  REQUIRE(refusal);
  CHECK(refusal->http_status == 200);
  CHECK(refusal->status.code == Code::kResourceExhausted);
  CHECK(head.held() == 1000);
  CHECK(head.take_metadata().fields.empty());
}

TEST_CASE("every field costs 32 bytes besides its text") {
  RequestHead head(330);
  for (int i = 0; i < 10; ++i) head.add("", "x");
  CHECK(head.held() == 330);
  CHECK(head.take_metadata().fields.size() == 10);

  head.add("", "");

  CHECK(head.refusal()->status.code == Code::kResourceExhausted);
}

TEST_CASE("headers far beyond the bound are not even read to their end") {
  RequestHead head(1000);

  CHECK(head.add("big", std::string(3900, 'x')));
  CHECK_FALSE(head.add("big", std::string(100, 'x')));
}

TEST_CASE("a repeated timeout does not pass for one") {
  RequestHead head = good();
  head.add("grpc-timeout", "1S");
  head.add("grpc-timeout", "2S");

  CHECK(head.timeout() == "1S2S");
}

}  // namespace
}  // namespace nodepilot
