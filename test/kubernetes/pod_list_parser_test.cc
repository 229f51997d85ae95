#include "attest/kubernetes/pod_list_parser.h"

#include <doctest/doctest.h>
#include <malloc.h>

#include <algorithm>

#include "test/kubernetes/pod_json.h"

namespace nodepilot {
namespace {

using testing::container_id;
using testing::container_id_of;
using testing::list_json;
using testing::pod_json;
using testing::pod_uid;
using testing::status_of;
using testing::TextInPieces;
using Json = nlohmann::json;

expected<PodList> parse(const std::string& text, const std::string& node = "node-1",
                        const PodListLimits& limits = {}) {
  TextInPieces pieces(text);
  return parse_pod_list(pieces, node, limits);
}
expected<PodList> parse_json(const Json& list) { return parse(list.dump()); }

std::string refusal(const std::string& text, const std::string& node = "node-1",
                    const PodListLimits& limits = {}) {
  auto list = parse(text, node, limits);
  if (list) return "accepted";
  CHECK(list.error().code == Code::kDataLoss);
  return list.error().message;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// A list of pod 1 with this container, after `change`.
template <class Change>
Json changed(Change change) {
  Json pod = pod_json(1, container_id('a'));
  change(pod);
  return list_json({pod});
}

bool lists(const expected<PodList>& list, char container) {
  REQUIRE_MESSAGE(list, list.error().message);
  auto found = list->index.find(pod_uid(1), container_id(container));
  return found && *found;
}

TEST_CASE("a container is found with all selectors of its pod and its own") {
  auto list =
      parse_json(list_json({pod_json(7, container_id('b')), pod_json(1, container_id('a'))}));

  REQUIRE_MESSAGE(list, list.error().message);
  CHECK(list->index.pods() == 2);
  CHECK(list->unreadable == 0);
  auto found = list->index.find(pod_uid(1), container_id('a'));
  REQUIRE(found);
  REQUIRE(*found);
  std::string digest = "@sha256:" + std::string(64, 'd');
  Selectors wanted;
  for (const std::string& value :
       {std::string("ns:shop"), std::string("sa:web"), std::string("node-name:node-1"),
        std::string("pod-name:web-1"), "pod-uid:" + pod_uid(1), std::string("pod-label:app:web"),
        std::string("pod-label:pod-template-hash:abc"), std::string("pod-owner:ReplicaSet:web-abc"),
        std::string("pod-owner-uid:ReplicaSet:e5"),
        std::string("pod-image:docker.io/library/web:1.2"),
        "pod-image:docker.io/library/web" + digest,
        std::string("pod-init-image:docker.io/library/init:1.2"),
        "pod-init-image:docker.io/library/init" + digest, std::string("pod-image-count:1"),
        std::string("pod-init-image-count:1"), std::string("container-name:web"),
        std::string("container-image:docker.io/library/web:1.2"),
        "container-image:docker.io/library/web" + digest}) {
    wanted.insert({"k8s", value});
  }
  CHECK(**found == wanted);
}

TEST_CASE("containers that initialise and ephemeral ones are found, too") {
  auto list = parse_json(changed([](Json& pod) {
    pod["status"]["initContainerStatuses"][0] = status_of("init", container_id('b'));
    pod["status"]["ephemeralContainerStatuses"] = {status_of("debug", container_id('c'))};
  }));

  CHECK(lists(list, 'a'));
  CHECK(lists(list, 'b'));
  REQUIRE(lists(list, 'c'));
  auto debug = list->index.find(pod_uid(1), container_id('c'));
  CHECK((*debug)->count({"k8s", "container-name:debug"}) == 1);
  CHECK((*debug)->count({"k8s", "container-name:web"}) == 0);
  CHECK((*debug)->count({"k8s", "pod-image-count:1"}) == 1);
}

TEST_CASE("a container of before a restart is not found") {
  auto list = parse_json(changed([](Json&) {}));

  CHECK_FALSE(lists(list, '9'));  // status_of()'s lastState
}

TEST_CASE("pods that have ended are dropped, pods that have not begun are kept") {
  auto in_phase = [](const char* phase) {
    return parse_json(changed([&](Json& pod) { pod["status"]["phase"] = phase; }));
  };

  CHECK_FALSE(lists(in_phase("Succeeded"), 'a'));
  CHECK_FALSE(lists(in_phase("Failed"), 'a'));
  CHECK(in_phase("Failed")->ended == 1);
  CHECK(lists(in_phase("Pending"), 'a'));
  CHECK(lists(in_phase("Unknown"), 'a'));
}

TEST_CASE("the runtime's name does not matter, the form of the ID does") {
  auto with_id = [](const std::string& id) {
    return lists(parse_json(changed([&](Json& pod) {
                   pod["status"]["containerStatuses"][0]["containerID"] = id;
                 })),
                 'a');
  };

  CHECK(with_id("cri-o://" + container_id('a')));
  CHECK(with_id("docker://" + container_id('a')));
  CHECK_FALSE(with_id(container_id('a')));
  CHECK_FALSE(with_id("containerd://" + container_id('a') + "a"));
  CHECK_FALSE(with_id("containerd://x/" + container_id('a')));
  CHECK_FALSE(with_id("containerd://"));
  CHECK_FALSE(with_id(""));
}

TEST_CASE("what is absent or null is no mistake") {
  auto list = parse_json(changed([](Json& pod) {
    pod["metadata"].erase("labels");
    pod["metadata"]["ownerReferences"] = nullptr;
    pod["metadata"]["annotations"] = nullptr;
    pod["spec"].erase("serviceAccountName");
    pod["status"].erase("initContainerStatuses");
  }));

  REQUIRE(lists(list, 'a'));
  auto found = list->index.find(pod_uid(1), container_id('a'));
  CHECK((*found)->count({"k8s", "pod-init-image-count:0"}) == 1);
  for (const Selector& one : **found) CHECK_FALSE(one.value.starts_with("sa:"));
  CHECK(parse(R"({"kind":"PodList","items":null})").has_value());
  CHECK(parse(R"({"kind":"PodList","items":[]})").has_value());
}

TEST_CASE("what is wrong with one pod leaves out that pod alone") {
  auto left_out = [](auto change) {
    Json bad = pod_json(2, container_id('b'));
    change(bad);
    auto list = parse_json(list_json({bad, pod_json(1, container_id('a'))}));
    CHECK(lists(list, 'a'));
    CHECK(list->unreadable == 1);
    CHECK(list->index.pods() == 1);
    return list->why;
  };

  CHECK(left_out([](Json& p) { p["metadata"].erase("uid"); }) == "item 0: it has no uid");
  CHECK(left_out([](Json& p) { p["metadata"]["namespace"] = ""; }) ==
        "item 0: it has no namespace");
  CHECK(left_out([](Json& p) { p.erase("metadata"); }) == "item 0: it has no uid");
  CHECK(left_out([](Json& p) { p["metadata"]["name"] = 5; }) == "item 0: name is no string");
  CHECK(left_out([](Json& p) { p["metadata"]["labels"]["a"] = true; }) ==
        "item 0: the value of a label is no string");
  CHECK(left_out([](Json& p) {
          p["status"]["containerStatuses"][0]["image"] = std::string(5000, 'x');
        }) == "item 0: image is longer than 4096 bytes");
  CHECK(left_out([](Json& p) {
          for (int i = 0; i < 10'000; ++i) p["metadata"]["labels"][std::to_string(i)] = "";
        }) == "item 0: more than 10000 facts");
}

TEST_CASE("a label of several lines makes no selector, least of all another's") {
  auto list = parse_json(changed([](Json& pod) {
    pod["metadata"]["labels"]["evil"] = "x\nns:kube-system";
    pod["metadata"]["labels"]["empty"] = "";
  }));

  REQUIRE(lists(list, 'a'));
  auto found = list->index.find(pod_uid(1), container_id('a'));
  CHECK((*found)->count({"k8s", "ns:kube-system"}) == 0);
  CHECK((*found)->count({"k8s", "pod-label:empty:"}) == 1);
}

TEST_CASE("every pod must run on this node, if its name is known") {
  std::string text = changed([](Json& pod) { pod["spec"]["nodeName"] = "node-2"; }).dump();
  std::string nowhere = changed([](Json& pod) { pod["spec"].erase("nodeName"); }).dump();

  CHECK(refusal(text) ==
        "list of pods: it is not of this node, \"node-1\": pod \"web-1\" runs on \"node-2\"");
  CHECK(has(refusal(nowhere), "runs on \"\""));
  CHECK(refusal(text, "") == "accepted");
}

TEST_CASE("what is no list of pods is worthless") {
  std::string good = list_json({pod_json(1, container_id('a'))}).dump();

  CHECK(refusal(good) == "accepted");
  CHECK(has(refusal(""), "malformed"));
  CHECK(has(refusal("<html>"), "malformed"));
  CHECK(has(refusal("null"), "kind is not PodList"));
  CHECK(has(refusal("{}"), "kind is not PodList"));
  CHECK(has(refusal(R"({"kind":"Status","items":[]})"), "kind is not PodList"));
  CHECK(has(refusal(R"({"kind":"PodList"})"), "no items"));
  CHECK(has(refusal(R"({"kind":"PodList","items":{}})"), "an object stands where none may"));
  CHECK(has(refusal(R"({"kind":"PodList","items":[[]]})"), "an array stands where none may"));
  CHECK(has(refusal(R"({"kind":"PodList","items":["a"]})"), "a plain value stands where none may"));
  CHECK(has(refusal(R"(["kind"])"), "an array stands where none may"));
  CHECK(has(refusal(good + "x"), "malformed"));
  CHECK(has(refusal(good + std::string(1, '\0') + good), "NUL"));
  CHECK(has(refusal(R"({"kind":"PodList","items":[],"a":")"
                    "\xff"
                    R"("})"),
            "malformed"));
}

TEST_CASE("a list that breaks off anywhere is worthless") {
  std::string good = list_json({pod_json(1, container_id('a'))}).dump();

  for (std::size_t length = 0; length < good.size(); length += 3) {
    CHECK(has(refusal(good.substr(0, length)), "malformed"));
  }
}

TEST_CASE("the cause of a text that breaks off is told as it is") {
  TextInPieces pieces("{\"kind\":\"PodList\",", 7, Error{Code::kDeadlineExceeded, "no answer"});

  auto list = parse_pod_list(pieces, "");

  REQUIRE_FALSE(list);
  CHECK(list.error().code == Code::kDeadlineExceeded);
  CHECK(list.error().message == "no answer");
}

TEST_CASE("a member that counts may be given once only") {
  std::string twice_uid = R"({"kind":"PodList","items":[{"metadata":{"uid":"a","uid":"b"}}]})";
  std::string twice_meta = R"({"kind":"PodList","items":[{"metadata":{},"metadata":{}}]})";
  std::string twice_items = R"({"kind":"PodList","items":[],"items":[]})";
  std::string twice_label =
      R"({"kind":"PodList","items":[{"metadata":{"labels":{"a":"","a":""}}}]})";
  std::string of_no_interest = R"({"kind":"PodList","items":[],"x":{"a":1,"a":2}})";

  CHECK(has(refusal(twice_uid), "member \"uid\" is given twice"));
  CHECK(has(refusal(twice_meta), "member \"metadata\" is given twice"));
  CHECK(has(refusal(twice_items), "member \"items\" is given twice"));
  CHECK(has(refusal(twice_label), "member \"a\" is given twice"));
  CHECK(refusal(of_no_interest) == "accepted");
}

TEST_CASE("size, depth and number are bounded") {
  std::string good =
      list_json({pod_json(1, container_id('a')), pod_json(2, container_id('b'))}).dump();
  auto deep = [](std::size_t levels) {
    return R"({"kind":"PodList","items":[],"x":)" + std::string(levels, '[') +
           std::string(levels, ']') + "}";
  };
  auto long_token = [](const std::string& token) {
    return R"({"kind":"PodList","items":[],"x":[1,)" + token + ",2]}";
  };
  PodListLimits small_tokens;
  small_tokens.max_token_bytes = 100;

  CHECK(refusal(good, "node-1", {.max_bytes = good.size()}) == "accepted");
  CHECK(has(refusal(good, "node-1", {.max_bytes = good.size() - 1}), "larger than"));
  CHECK(refusal(good, "node-1", {.max_pods = 2}) == "accepted");
  CHECK(has(refusal(good, "node-1", {.max_pods = 1}), "more than 1 pods"));
  CHECK(refusal(deep(63)) == "accepted");
  CHECK(has(refusal(deep(64)), "nested deeper than 64 levels"));
  CHECK(has(refusal(deep(1'000'000)), "nested deeper than 64 levels"));
  CHECK(refusal(long_token("\"" + std::string(98, 'x') + "\""), "", small_tokens) == "accepted");
  CHECK(has(refusal(long_token("\"" + std::string(99, 'x') + "\""), "", small_tokens),
            "larger than 100 bytes"));
  CHECK(has(refusal(long_token("\"" + std::string(60, '\\') + "\\\"" + std::string(60, 'x') + "\""),
                    "", small_tokens),
            "larger than 100 bytes"));
  CHECK(has(refusal(long_token(std::string(101, '1')), "", small_tokens), "larger than 100 bytes"));
}

// Pods of 5 KB each, made while they are read, so that whatever is held is held by who reads.
class ManyPods : public PodListText {
 public:
  explicit ManyPods(unsigned pods) : pods_(pods) {}

  expected<std::string_view> read() override {
    most_held_ = std::max(most_held_, held());
    piece_ = next();
    bytes_ += piece_.size();
    return piece_;
  }

  std::size_t bytes() const { return bytes_; }
  // Bytes of heap beyond those in use at the beginning, at most.
  std::size_t most_held() const { return most_held_ - held_before_; }

 private:
  static std::size_t held() {
    auto info = ::mallinfo2();  // all zero where a sanitizer has replaced malloc
    return info.uordblks + info.hblkhd;
  }

  std::string next() {
    if (number_ > pods_) return "";
    if (number_++ == pods_) return "]}";
    Json pod = pod_json(number_, container_id_of(number_));
    pod["metadata"]["annotations"]["padding"] = std::string(5'000 - pod.dump().size(), 'x');
    return (number_ == 1 ? R"({"kind":"PodList","items":[)" : ",") + pod.dump();
  }

  const unsigned pods_;
  const std::size_t held_before_ = held();
  std::size_t most_held_ = held_before_;
  std::size_t bytes_ = 0;
  unsigned number_ = 0;
  std::string piece_;
};

TEST_CASE("fault 60: ten thousand pods in fifty megabytes are read one by one") {
  ManyPods text(10'000);

  auto list = parse_pod_list(text, "node-1");

  REQUIRE_MESSAGE(list, list.error().message);
  CHECK(text.bytes() > 50'000'000);
  CHECK(text.most_held() < 25'000'000);
  for (unsigned number : {1U, 5'000U, 10'000U}) {
    CHECK(*list->index.find(pod_uid(number), container_id_of(number)));
  }
}

TEST_CASE("pieces may end anywhere") {
  std::string text =
      changed([](Json& pod) { pod["metadata"]["labels"]["app"] = "q\"\\\xc3\xa4"; }).dump();

  for (std::size_t piece = 1; piece < 40; ++piece) {
    TextInPieces pieces(text, piece);
    auto list = parse_pod_list(pieces, "node-1");
    REQUIRE_MESSAGE(list, list.error().message);
    auto found = list->index.find(pod_uid(1), container_id('a'));
    REQUIRE(*found);
    CHECK((*found)->count({"k8s", "pod-label:app:q\"\\\xc3\xa4"}) == 1);
  }
}

}  // namespace
}  // namespace nodepilot
