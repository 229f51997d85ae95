#include "attest/docker/container_details.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "agent/base/strict_json.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;

constexpr JsonLimits kLimits = {.max_bytes = std::size_t{4} * 1024 * 1024, .max_depth = 32};
constexpr std::string_view kDigestPrefix = "sha256:";
constexpr std::size_t kDigestDigits = 64;

tl::unexpected<Error> malformed(const char* what) {
  return fail(Code::kDataLoss, std::string("the engine's answer: ") + what);
}

const Json* member(const Json& object, const char* name) {
  auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

expected<std::string> text_of(const Json& object, const char* name) {
  const Json* value = member(object, name);
  if (value == nullptr || !value->is_string()) return malformed("a string is missing");
  return value->get<std::string>();
}

void add(Selectors& found, const std::string& value) {
  if (auto selector = Selector::parse("docker:" + value)) found.insert(*std::move(selector));
}

expected<void> add_labels(Selectors& found, const Json& config) {
  const Json* labels = member(config, "Labels");
  if (labels == nullptr) return {};
  if (!labels->is_object()) return malformed("Labels is no object");
  for (const auto& [key, value] : labels->items()) {
    if (!value.is_string()) return malformed("a label is no string");
    add(found, "label:" + key + ":" + value.get<std::string>());
  }
  return {};
}

expected<void> add_environment(Selectors& found, const Json& config) {
  const Json* variables = member(config, "Env");
  if (variables == nullptr) return {};
  if (!variables->is_array()) return malformed("Env is no array");
  for (const Json& variable : *variables) {
    if (!variable.is_string()) return malformed("a variable is no string");
    add(found, "env:" + variable.get<std::string>());
  }
  return {};
}

// A digest names content; an engine that gives anything else here is not understood.
bool is_digest(std::string_view text) {
  if (!text.starts_with(kDigestPrefix)) return false;
  text.remove_prefix(kDigestPrefix.size());
  return text.size() == kDigestDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

}  // namespace

expected<Selectors> docker_selectors(std::string_view answer, std::string_view id) {
  auto parsed = parse_strict_json(answer, kLimits);
  if (!parsed) return malformed(parsed.error().message.c_str());
  if (!parsed->is_object()) return malformed("it is no object");
  if (TRY(text_of(*parsed, "Id")) != id) return malformed("it is about another container");
  const Json* config = member(*parsed, "Config");
  if (config == nullptr || !config->is_object()) return malformed("Config is no object");

  Selectors found;
  TRY(add_labels(found, *config));
  TRY(add_environment(found, *config));
  auto name = TRY(text_of(*config, "Image"));
  if (!name.empty()) add(found, "image_id:" + name);
  auto digest = TRY(text_of(*parsed, "Image"));
  // Podman leaves the name of the algorithm out.
  if (!digest.starts_with(kDigestPrefix)) digest.insert(0, kDigestPrefix);
  if (!is_digest(digest)) return malformed("Image is no digest");
  add(found, "image_config_digest:" + digest);
  return found;
}

}  // namespace nodepilot
