#include "agent/config/known_selectors.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

TEST_CASE("every selector of SPIRE's that an attestor yields is known") {
  for (const char* text : {"unix:supplementary_group:adm",
                           "k8s:ns:shop",
                           "k8s:sa:web",
                           "k8s:node-name:n1",
                           "k8s:pod-uid:2c48913c-b29f-11e7-9350-020968147796",
                           "k8s:pod-name:web-0",
                           "k8s:pod-label:app.kubernetes.io/name:web",
                           "k8s:pod-label:k8s:x",
                           "k8s:pod-owner:ReplicaSet:web-1",
                           "k8s:pod-owner-uid:ReplicaSet:1",
                           "k8s:pod-image:docker.io/library/nginx:1.2",
                           "k8s:pod-init-image:x@sha256:00",
                           "k8s:pod-image-count:1",
                           "k8s:pod-init-image-count:0",
                           "k8s:container-name:app",
                           "k8s:container-image:nginx:1",
                           "docker:label:com.example:x",
                           "docker:env:MODE=a:b=c",
                           "docker:image_id:nginx:1",
                           "docker:image_config_digest:sha256:00",
                           "systemd:id:nginx.service",
                           "systemd:fragment_path:/lib/systemd/system/nginx.service"}) {
    CAPTURE(text);
    auto selector = parse_known_selector(text);
    REQUIRE(selector);
    CHECK(selector->str() == text);
  }
}

TEST_CASE("what no attestor can yield is refused") {
  for (const char* text : {"k8s:namespace:shop", "k8s:pod-label:app", "k8s:pod-label::x",
                           "k8s:pod-label:app:", "k8s:pod-image-count:01", "k8s:pod-image-count:x",
                           "docker:env:MODE", "docker:env:=x", "docker:label:x",
                           "systemd:id:", "systemd:fragment_path:nginx.service", "aws:tag:x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_known_selector(text));
  }
}

TEST_CASE("a key is a kind, and with it the name if the kind has names") {
  for (const char* text : {"k8s:ns", "k8s:pod-label:app", "docker:label:x", "unix:user"}) {
    CAPTURE(text);
    auto key = parse_known_key(text);
    REQUIRE(key);
    CHECK(key->str() == text);
  }
  for (const char* text : {"k8s:ns:shop", "k8s:pod-label", "k8s:pod-label:", "k8s:pod-label:a:b",
                           "docker:env:MODE", "k8s:x", "k8s", "k8s:"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_known_key(text));
  }
}

TEST_CASE("an asterisk after a key is any value, after anything else itself") {
  auto any = parse_condition("k8s:pod-label:app:*");
  REQUIRE(any);
  CHECK(std::get<SelectorKey>(*any) == SelectorKey{"k8s", "pod-label:app"});

  auto literal = parse_condition("docker:env:GLOB=a:*");
  REQUIRE(literal);
  CHECK(std::get<Selector>(*literal) == Selector{"docker", "env:GLOB=a:*"});

  CHECK_FALSE(parse_condition("k8s:nss:*"));
  CHECK_FALSE(parse_condition("*"));
}

TEST_CASE("two values of what a process has once contradict each other") {
  CHECK(contradiction({{"k8s", "ns:a"}, {"k8s", "ns:b"}}));
  CHECK(contradiction({{"systemd", "id:a"}, {"systemd", "id:b"}}));
  CHECK_FALSE(contradiction({{"k8s", "pod-label:a:1"}, {"k8s", "pod-label:a:2"}}));
  CHECK_FALSE(contradiction({{"k8s", "ns:a"}, {"unix", "uid:1"}, {"docker", "image_id:x"}}));
}

}  // namespace
}  // namespace nodepilot
