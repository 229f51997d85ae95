#include "attest/docker/container_details.h"

#include <doctest/doctest.h>

#include <string>

using namespace nodepilot;

namespace {

const std::string kId = "684b41f98bf1478c122787ec174d21763d9b5c2034552908a3d51ec3d0e0abfc";
const std::string kDigest = "641476ba98636a445149e4b41388739149da87c9caa028360ba9b6780b03dbc0";

std::string answer(const std::string& config, const std::string& image = "sha256:" + kDigest) {
  return R"({"Id":")" + kId + R"(","Image":")" + image + R"(","Name":"/web","Config":)" + config +
         "}";
}

void check_refused(const std::string& text) {
  CAPTURE(text);
  auto found = docker_selectors(text, kId);
  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::kDataLoss);
}

}  // namespace

TEST_CASE("a container has its labels, environment, image and digest") {
  auto found = docker_selectors(
      answer(R"({"Image":"shop/web:1","Labels":{"app":"web","a:b":"c:d"},"Env":["A=b","E="]})"),
      kId);

  REQUIRE(found);
  CHECK(*found == Selectors{{"docker", "label:app:web"},
                            {"docker", "label:a:b:c:d"},
                            {"docker", "env:A=b"},
                            {"docker", "env:E="},
                            {"docker", "image_id:shop/web:1"},
                            {"docker", "image_config_digest:sha256:" + kDigest}});
}

TEST_CASE("a container without labels and environment has the rest") {
  Selectors rest = {{"docker", "image_id:web"},
                    {"docker", "image_config_digest:sha256:" + kDigest}};

  CHECK(docker_selectors(answer(R"({"Image":"web","Labels":null,"Env":null})"), kId) == rest);
  CHECK(docker_selectors(answer(R"({"Image":"web"})", kDigest), kId) == rest);
}

TEST_CASE("a label that no selector can spell is left out, and the others stay") {
  auto found = docker_selectors(
      answer(R"({"Image":"web","Labels":{"x":"a\ndocker:label:app:web","y":"z"}})"), kId);

  REQUIRE(found);
  CHECK(found->contains({"docker", "label:y:z"}));
  CHECK(found->size() == 3);
}

TEST_CASE("an answer about another container is refused") {
  auto found = docker_selectors(answer(R"({"Image":"web"})"), std::string(64, '0'));

  REQUIRE_FALSE(found);
  CHECK(found.error().message == "the engine's answer: it is about another container");
}

TEST_CASE("an answer of another form is refused") {
  check_refused("");
  check_refused("[]");
  check_refused("{}");
  check_refused(R"({"Id":"x","Id":")" + kId + R"("})");
  check_refused(answer("null"));
  check_refused(answer("[]"));
  check_refused(answer("{}"));
  check_refused(answer(R"({"Image":1})"));
  check_refused(answer(R"({"Image":"web","Labels":[]})"));
  check_refused(answer(R"({"Image":"web","Labels":{"a":1}})"));
  check_refused(answer(R"({"Image":"web","Env":{}})"));
  check_refused(answer(R"({"Image":"web","Env":[1]})"));
  check_refused(answer(R"({"Image":"web"})", "sha512:" + kDigest));
  check_refused(answer(R"({"Image":"web"})", kDigest.substr(1)));
}
