#include "agent/endpoint_address.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

TEST_CASE("a Unix address is an absolute path with no host, or an empty one") {
  for (const char* uri : {"unix:///run/a.sock", "unix:/run/a.sock", "UNIX:///run/a.sock"}) {
    CAPTURE(uri);
    auto address = EndpointAddress::parse(uri);
    REQUIRE(address);
    CHECK(address->unix_path == "/run/a.sock");
    CHECK(address->tcp_target == "");
    CHECK(address->grpc_target() == "unix:/run/a.sock");
    CHECK(address->str() == "unix:///run/a.sock");
  }
}

TEST_CASE("a TCP address is an IP and a port") {
  auto v4 = EndpointAddress::parse("tcp://127.0.0.1:8000");
  auto v6 = EndpointAddress::parse("tcp://[::1]:8000");

  REQUIRE(v4);
  CHECK(v4->unix_path == "");
  CHECK(v4->grpc_target() == "ipv4:127.0.0.1:8000");
  CHECK(v4->str() == "tcp://127.0.0.1:8000");
  REQUIRE(v6);
  CHECK(v6->grpc_target() == "ipv6:[::1]:8000");
  CHECK(v6->str() == "tcp://[::1]:8000");
}

TEST_CASE("what the standard does not allow is refused") {
  for (const char* uri : {"",
                          "/run/x.sock",
                          "run/x.sock",
                          "http://127.0.0.1:80",
                          "https:///a",
                          "unix",
                          "tcp",
                          "unix:",
                          "unix://",
                          "unix:///",
                          "unix:a.sock",
                          "unix://run/a.sock",
                          "unix://localhost/run/a.sock",
                          "unix:////run/a.sock",
                          "unix:///run/",
                          "unix:///a?x",
                          "unix:///a#x",
                          "unix:///a?",
                          "unix:///a b",
                          "unix:///a%",
                          "unix:///a%2",
                          "unix:///a%zz",
                          "unix:///a%00b",
                          "unix:///a%+1",
                          "unix:///a\n",
                          "unix:///a\xff",
                          "\x1aunix:///a",
                          "uni\x1a:///a",
                          " unix:///a",
                          "unix:///a[1]",
                          "tcp:127.0.0.1:80",
                          "tcp:/127.0.0.1:80",
                          "tcp://127.0.0.1",
                          "tcp://127.0.0.1:",
                          "tcp://127.0.0.1:0",
                          "tcp://127.0.0.1:65536",
                          "tcp://127.0.0.1:-1",
                          "tcp://127.0.0.1:+80",
                          "tcp://127.0.0.1:8x",
                          "tcp://:80",
                          "tcp://localhost:80",
                          "tcp://127.1:80",
                          "tcp://1:80",
                          "tcp://127.0.0.1:80/",
                          "tcp://127.0.0.1:80/foo",
                          "tcp://127.0.0.1:80?x",
                          "tcp://127.0.0.1:80#x",
                          "tcp://u@127.0.0.1:80",
                          "tcp://::1:80",
                          "tcp://[::1]",
                          "tcp://[127.0.0.1]:80",
                          "tcp://[]:80",
                          "tcp://[::1:80",
                          "tcp://[fe80::1%25eth0]:80"}) {
    CAPTURE(uri);
    CHECK_FALSE(EndpointAddress::parse(uri));
  }
}

TEST_CASE("a refusal names the address, the rule and the right form") {
  CHECK(EndpointAddress::parse("unix://run/a.sock").error().message ==
        "address \"unix://run/a.sock\": after unix:// comes a third slash, since no host is "
        "allowed; write unix:///absolute/path or tcp://IP:PORT");
  CHECK(EndpointAddress::parse("tcp://localhost:1").error().message ==
        "address \"tcp://localhost:1\": the host must be an IP address (IPv6 in brackets); write "
        "unix:///absolute/path or tcp://IP:PORT");
}

TEST_CASE("escapes in a path are undone, and made again for gRPC") {
  auto address = EndpointAddress::parse("unix:///run/a%20b%3f%C3%A9.sock");

  REQUIRE(address);
  CHECK(address->unix_path == "/run/a b?\xc3\xa9.sock");
  CHECK(address->grpc_target() == "unix:/run/a%20b%3F%C3%A9.sock");
  CHECK(address->str() == "unix:///run/a%20b%3F%C3%A9.sock");
}

TEST_CASE("a path must fit into a socket address") {
  std::string fits = "/" + std::string(106, 'a');

  CHECK(EndpointAddress::parse("unix:" + fits));
  CHECK_FALSE(EndpointAddress::parse("unix:" + fits + "a"));
}

TEST_CASE("a plain path is accepted only where people type it") {
  CHECK(EndpointAddress::parse_uri_or_path("/run/a b.sock")->unix_path == "/run/a b.sock");
  CHECK(EndpointAddress::parse_uri_or_path("unix:///run/a.sock")->unix_path == "/run/a.sock");
  CHECK_FALSE(EndpointAddress::parse_uri_or_path("a.sock"));
  CHECK_FALSE(EndpointAddress::parse_uri_or_path("/run/"));
  CHECK_FALSE(EndpointAddress::parse_uri_or_path("/" + std::string(107, 'a')));
  CHECK_FALSE(EndpointAddress::parse_uri_or_path(std::string_view("/a\0b", 4)));
}

}  // namespace
}  // namespace nodepilot
