#include "attest/kubernetes/pod_decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace nodepilot {
namespace {

using Json = nlohmann::json;
using Kind = Shape::Kind;
using Member = Shape::Member;

constexpr std::size_t kMaxFactBytes = 4096;
constexpr std::size_t kContainerIdDigits = 64;
constexpr const char* kConfigHash = "kubernetes.io/config.hash";

constexpr Shape kText{};
constexpr Shape kTexts{.kind = Kind::kMap};

constexpr std::array kOwnerMembers = {Member{"kind", &kText}, Member{"name", &kText},
                                      Member{"uid", &kText}};
constexpr Shape kOwner{.kind = Kind::kObject, .members = kOwnerMembers};
constexpr Shape kOwners{.kind = Kind::kArray, .items = &kOwner};
constexpr std::array kAnnotationMembers = {Member{kConfigHash, &kText}};
constexpr Shape kAnnotations{.kind = Kind::kObject, .members = kAnnotationMembers};
constexpr std::array kMetadataMembers = {Member{"name", &kText},
                                         Member{"namespace", &kText},
                                         Member{"uid", &kText},
                                         Member{"labels", &kTexts},
                                         Member{"annotations", &kAnnotations},
                                         Member{"ownerReferences", &kOwners}};
constexpr Shape kMetadata{.kind = Kind::kObject, .members = kMetadataMembers};

constexpr std::array kSpecMembers = {Member{"nodeName", &kText},
                                     Member{"serviceAccountName", &kText}};
constexpr Shape kSpec{.kind = Kind::kObject, .members = kSpecMembers};

constexpr std::array kContainerMembers = {Member{"name", &kText}, Member{"image", &kText},
                                          Member{"imageID", &kText}, Member{"containerID", &kText}};
constexpr Shape kContainer{.kind = Kind::kObject, .members = kContainerMembers};
constexpr Shape kContainers{.kind = Kind::kArray, .items = &kContainer};
constexpr std::array kStatusMembers = {Member{"phase", &kText},
                                       Member{"containerStatuses", &kContainers},
                                       Member{"initContainerStatuses", &kContainers},
                                       Member{"ephemeralContainerStatuses", &kContainers}};
constexpr Shape kStatus{.kind = Kind::kObject, .members = kStatusMembers};

constexpr std::array kPodMembers = {Member{"metadata", &kMetadata}, Member{"spec", &kSpec},
                                    Member{"status", &kStatus}};
constexpr Shape kPods{.kind = Kind::kArray, .items = &kPodShape};
constexpr std::array kListMembers = {Member{"kind", &kText}, Member{"items", &kPods}};

// The member `name` of an object; null if that, or the object itself, is absent.
const Json& member(const Json& object, const char* name) {
  static const Json absent;
  if (!object.is_object()) return absent;
  auto found = object.find(name);
  return found == object.end() ? absent : *found;
}

tl::unexpected<Error> refuse(std::string why) {
  return fail(Code::kInvalidArgument, std::move(why));
}

// Empty if it is absent.
expected<std::string> text_of(const Json& value, const char* name) {
  if (value.is_null()) return std::string();
  const auto* text = value.get_ptr<const std::string*>();
  if (text == nullptr) return refuse(fmt::format("{} is no string", name));
  if (text->size() <= kMaxFactBytes) return *text;
  return refuse(fmt::format("{} is longer than {} bytes", name, kMaxFactBytes));
}

expected<std::string> text_in(const Json& object, const char* name) {
  return text_of(member(object, name), name);
}

expected<std::string> require(const Json& object, const char* name) {
  auto text = TRY(text_in(object, name));
  if (text.empty()) return refuse(fmt::format("it has no {}", name));
  return text;
}

// "containerd://<64 hex digits>"; empty for what is no container of a known form.
std::string container_id(const std::string& text) {
  auto at = text.find("://");
  if (at == std::string::npos) return {};
  std::string id = text.substr(at + 3);
  bool is_id = id.size() == kContainerIdDigits &&
               id.find_first_not_of("0123456789abcdef") == std::string::npos;
  return is_id ? id : std::string();
}

expected<std::vector<PodContainer>> decode_containers(const Json& list) {
  std::vector<PodContainer> containers;
  for (const Json& item : list) {
    PodContainer one;
    one.name = TRY(text_in(item, "name"));
    one.image = TRY(text_in(item, "image"));
    one.image_id = TRY(text_in(item, "imageID"));
    one.id = container_id(TRY(text_in(item, "containerID")));
    containers.push_back(std::move(one));
  }
  return containers;
}

expected<void> decode_metadata(const Json& metadata, Pod& pod) {
  pod.uid = TRY(require(metadata, "uid"));
  pod.name = TRY(require(metadata, "name"));
  pod.name_space = TRY(require(metadata, "namespace"));
  pod.config_hash = TRY(text_in(member(metadata, "annotations"), kConfigHash));
  const Json& labels = member(metadata, "labels");
  for (auto label = labels.begin(); label != labels.end(); ++label) {
    if (label.key().size() > kMaxFactBytes) return refuse("the key of a label is too long");
    pod.labels.emplace(label.key(), TRY(text_of(*label, "the value of a label")));
  }
  for (const Json& item : member(metadata, "ownerReferences")) {
    PodOwner owner;
    owner.kind = TRY(text_in(item, "kind"));
    owner.name = TRY(text_in(item, "name"));
    owner.uid = TRY(text_in(item, "uid"));
    pod.owners.push_back(std::move(owner));
  }
  return {};
}

}  // namespace

const Shape kPodShape{.kind = Kind::kObject, .members = kPodMembers};
const Shape kPodListShape{.kind = Kind::kObject, .members = kListMembers};

bool has_ended(const Json& pod) {
  const Json& phase = member(member(pod, "status"), "phase");
  return phase == "Succeeded" || phase == "Failed";
}

expected<Pod> decode_pod(const Json& json) {
  Pod pod;
  TRY(decode_metadata(member(json, "metadata"), pod));
  const Json& spec = member(json, "spec");
  pod.node_name = TRY(text_in(spec, "nodeName"));
  pod.service_account = TRY(text_in(spec, "serviceAccountName"));
  const Json& status = member(json, "status");
  pod.containers = TRY(decode_containers(member(status, "containerStatuses")));
  pod.init_containers = TRY(decode_containers(member(status, "initContainerStatuses")));
  pod.ephemeral_containers = TRY(decode_containers(member(status, "ephemeralContainerStatuses")));
  return pod;
}

}  // namespace nodepilot
