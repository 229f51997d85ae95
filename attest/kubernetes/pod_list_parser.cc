#include "attest/kubernetes/pod_list_parser.h"

#include <fmt/format.h>

#include "agent/base/log.h"
#include "attest/kubernetes/pod_decoder.h"
#include "attest/kubernetes/text_reader.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;

class Collector {
 public:
  Collector(const std::string& node_name, const PodListLimits& limits)
      : node_name_(node_name), limits_(limits) {}

  // Why the list is worthless, if it is.
  std::string add(const std::optional<Json>& item) {
    if (++pods_ > limits_.max_pods) return fmt::format("more than {} pods", limits_.max_pods);
    if (!item) return leave_out(fmt::format("more than {} facts", limits_.max_facts_of_pod));
    if (has_ended(*item)) {
      ++list_.ended;
      return {};
    }
    auto pod = decode_pod(*item);
    if (!pod) return leave_out(pod.error().message);
    if (!node_name_.empty() && pod->node_name != node_name_) {
      return fmt::format("it is not of this node, {}: pod {} runs on {}", quote(node_name_),
                         quote(pod->name), quote(pod->node_name));
    }
    list_.index.add(*pod);
    return {};
  }
  PodList take() { return std::move(list_); }

 private:
  std::string leave_out(const std::string& why) {
    if (list_.unreadable++ == 0) list_.why = fmt::format("item {}: {}", pods_ - 1, why);
    return {};
  }

  const std::string& node_name_;
  const PodListLimits& limits_;
  std::size_t pods_ = 0;
  PodList list_;
};

tl::unexpected<Error> worthless(const std::string& why) {
  return fail(Code::kDataLoss, "list of pods: " + why);
}

}  // namespace

expected<PodList> parse_pod_list(PodListText& text, const std::string& node_name,
                                 const PodListLimits& limits) {
  Collector collector(node_name, limits);
  ShapedBuilder builder(kPodListShape, kPodShape, {limits.max_depth, limits.max_facts_of_pod},
                        [&](const std::optional<Json>& item) { return collector.add(item); });
  TextReader reader(text, {limits.max_bytes, limits.max_token_bytes});
  bool is_good = Json::sax_parse(TextIterator(reader), TextIterator(), &builder);
  // What broke off the text is the cause of what the parser found.
  if (const auto& failure = reader.failure()) {
    if (failure->code == Code::kDataLoss) return worthless(failure->message);
    return tl::unexpected<Error>(*failure);
  }
  if (!is_good) return worthless(builder.why());
  const Json& root = builder.root();
  if (auto kind = root.find("kind"); kind == root.end() || *kind != "PodList") {
    return worthless("its kind is not PodList");
  }
  if (!root.contains("items")) return worthless("it has no items");
  return collector.take();
}

}  // namespace nodepilot
