#include "rotation/https/url.h"

#include <doctest/doctest.h>

#include <string>

namespace nodepilot {
namespace {

bool is_url(const std::string& text) { return Url::parse(text).has_value(); }

TEST_CASE("a URL is taken apart") {
  auto url = Url::parse("https://Bundle.example.org:8443/a/b?c=d");

  REQUIRE(url);
  CHECK(url->str() == "https://Bundle.example.org:8443/a/b?c=d");
  CHECK(url->host() == "bundle.example.org");
  CHECK_FALSE(url->host_is_address());
  CHECK(url->port() == 8443);
  CHECK(url->target() == "/a/b?c=d");
  CHECK(url->authority() == "bundle.example.org:8443");
}

TEST_CASE("port and path have defaults") {
  auto bare = Url::parse("https://b.org");
  auto with_query = Url::parse("https://b.org?x");

  REQUIRE(bare);
  CHECK(bare->port() == 443);
  CHECK(bare->target() == "/");
  CHECK(bare->authority() == "b.org");
  REQUIRE(with_query);
  CHECK(with_query->target() == "/?x");
}

TEST_CASE("hosts may be addresses") {
  auto four = Url::parse("https://127.0.0.1:1/");
  auto six = Url::parse("https://[2001:DB8::1]:8443/x");

  REQUIRE(four);
  CHECK(four->host() == "127.0.0.1");
  CHECK(four->host_is_address());
  REQUIRE(six);
  CHECK(six->host() == "2001:db8::1");
  CHECK(six->host_is_address());
  CHECK(six->authority() == "[2001:db8::1]:8443");
}

TEST_CASE("other schemes and user info are refused") {
  for (const char* text : {"http://b.org/", "HTTPS://b.org/", "https:/b.org", "https:b.org",
                           "b.org", "", "https://u@b.org/", "https://u:p@b.org/", "https://@b.org/",
                           "file:///etc/passwd", " https://b.org/"}) {
    CAPTURE(text);
    CHECK_FALSE(is_url(text));
  }
}

TEST_CASE("malformed hosts and ports are refused") {
  for (const char* text :
       {"https://",          "https:///path",      "https://:443/",        "https://b..org/",
        "https://.b.org/",   "https://b.org./",    "https://-b.org/",      "https://b-.org/",
        "https://b org/",    "https://999.1.1.1/", "https://1/",           "https://[::1/",
        "https://[b.org]/",  "https://[::1]x/",    "https://[]/",          "https://::1/",
        "https://b.org:/",   "https://b.org:0/",   "https://b.org:65536/", "https://b.org:08443/",
        "https://b.org:+1/", "https://b.org:1:2/", "https://b%2eorg/"}) {
    CAPTURE(text);
    CHECK_FALSE(is_url(text));
  }
  CHECK(is_url("https://b.org:65535/"));
  CHECK(is_url("https://" + std::string(63, 'a') + ".org/"));
  CHECK_FALSE(is_url("https://" + std::string(64, 'a') + ".org/"));
}

TEST_CASE("nothing in a path can forge the head of a request") {
  for (const char* text :
       {"https://b.org/a b", "https://b.org/a\r\nHost: c", "https://b.org/\t", "https://b.org/#f",
        "https://b.org/\"", "https://b.org/\x7f", "https://b.org/\xc3\xa9", "https://b.org\\x"}) {
    CAPTURE(text);
    CHECK_FALSE(is_url(text));
  }
  CHECK_FALSE(is_url(std::string("https://b.org/\0x", 16)));
}

TEST_CASE("a URL has at most 2048 bytes") {
  std::string start = "https://b.org/";

  CHECK(is_url(start + std::string(2048 - start.size(), 'a')));
  CHECK_FALSE(is_url(start + std::string(2049 - start.size(), 'a')));
}

TEST_CASE("a location is a whole URL or a path on the same host") {
  Url url = Url::parse("https://b.org:8443/a/b").value();

  CHECK(url.resolve("https://c.org/x").value().str() == "https://c.org/x");
  CHECK(url.resolve("/x?y").value().str() == "https://b.org:8443/x?y");
  for (const char* text :
       {"http://b.org/", "//c.org/x", "x", "../x", "", "?x", "https://u@c.org/", "javascript:x"}) {
    CAPTURE(text);
    CHECK_FALSE(url.resolve(text).has_value());
  }
}

TEST_CASE("an error quotes what was given") {
  auto url = Url::parse("http://b.org/");

  REQUIRE_FALSE(url);
  CHECK(url.error().message ==
        "must be an https URL: it must start with https://, got "
        "\"http://b.org/\"");
}

}  // namespace
}  // namespace nodepilot
