#include "rotation/ca/jwt_keyring.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/strict_json.h"

namespace nodepilot {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kMaxKeys = 16;
constexpr std::size_t kMaxBytes = kMaxKeys * 1024;
constexpr std::int64_t kEndOf9999 = 253402300799;

// For validators whose clocks are behind ours.
constexpr Duration kLeeway = std::chrono::minutes(5);

tl::unexpected<Error> refuse(std::string why) {
  return fail(Code::kInvalidArgument, "JWT keys: " + std::move(why));
}

std::int64_t seconds_of(Time time) {
  return std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count();
}

expected<Time> parse_start(const Json& value) {
  if (!value.is_number_unsigned() || value.get<std::uint64_t>() > kEndOf9999) {
    return refuse("signs_from is no Unix time");
  }
  return Time(std::chrono::seconds(value.get<std::int64_t>()));
}

expected<JwtSigningKey> parse_private_key(const Json& value) {
  if (!value.is_string()) return refuse("private_key is not a string");
  const auto& pem = value.get_ref<const std::string&>();
  return JwtSigningKey::create(TRY(PrivateKey::parse_pem(SecretBytes(pem.begin(), pem.end()))));
}

}  // namespace

expected<JwtKeyring::Key> JwtKeyring::make_key(Time signs_from) {
  return Key{TRY(JwtSigningKey::generate()), std::chrono::floor<std::chrono::seconds>(signs_from)};
}

expected<JwtKeyring> JwtKeyring::start(Time now, Policy policy) {
  return JwtKeyring(policy, {TRY(make_key(now))});
}

expected<std::vector<JwtKeyring::Key>> JwtKeyring::parse_keys(std::string_view json) {
  auto document = TRY(parse_strict_json(json, {.max_bytes = kMaxBytes, .max_depth = 3}));
  bool is_list = document.is_object() && document.size() == 1 && document.contains("keys") &&
                 document["keys"].is_array();
  if (!is_list || document["keys"].empty() || document["keys"].size() > kMaxKeys) {
    return refuse(
        fmt::format("not an object with a list of 1 to {} keys and nothing else", kMaxKeys));
  }
  std::vector<Key> keys;
  for (const Json& item : document["keys"]) {
    if (!item.is_object() || item.size() != 2 || !item.contains("private_key") ||
        !item.contains("signs_from")) {
      return refuse("a key is not an object of private_key and signs_from");
    }
    // One by one: a return out of braces would leak what stands before it in them.
    auto key = TRY(parse_private_key(item["private_key"]));
    Time signs_from = TRY(parse_start(item["signs_from"]));
    keys.push_back({std::move(key), signs_from});
  }
  return keys;
}

expected<JwtKeyring> JwtKeyring::parse(std::string_view json, Policy policy) {
  auto keys = TRY(parse_keys(json));
  for (std::size_t i = 1; i < keys.size(); ++i) {
    if (keys[i].signs_from < keys[i - 1].signs_from) {
      return refuse("they are not in the order in which they sign");
    }
    for (std::size_t j = 0; j < i; ++j) {
      if (keys[i].key.key_id() == keys[j].key.key_id()) return refuse("one of them is there twice");
    }
  }
  return JwtKeyring(policy, std::move(keys));
}

std::string JwtKeyring::serialise() const {
  Json list = Json::array();
  for (const Key& key : keys_) {
    SecretBytes pem = key.key.private_key().pkcs8_pem();
    list.push_back({{"private_key", std::string(pem.begin(), pem.end())},
                    {"signs_from", seconds_of(key.signs_from)}});
  }
  return Json{{"keys", std::move(list)}}.dump(2) + '\n';
}

expected<std::optional<JwtKeyring>> JwtKeyring::turned(Time now) const {
  const Time next_start = std::chrono::floor<std::chrono::seconds>(now + policy_.published_ahead);
  std::vector<Key> keys = keys_;
  bool is_changed = false;
  // A key is never planned further ahead, unless the clock was: it must not wait for that day.
  for (Key& key : keys) {
    if (key.signs_from <= next_start) continue;
    key.signs_from = next_start;
    is_changed = true;
  }
  auto has_ended = [&](const Key& successor) {
    return successor.signs_from + policy_.longest_token + kLeeway <= now;
  };
  while (keys.size() > 1 && has_ended(keys[1])) {
    keys.erase(keys.begin());
    is_changed = true;
  }
  if (keys.back().signs_from + policy_.signing_life <= next_start) {
    keys.push_back(TRY(make_key(next_start)));
    is_changed = true;
  }
  if (!is_changed) return std::nullopt;
  return JwtKeyring(policy_, std::move(keys));
}

const JwtSigningKey& JwtKeyring::signer(Time now) const {
  auto later = std::find_if(keys_.begin(), keys_.end(),
                            [&](const Key& key) { return key.signs_from > now; });
  return later == keys_.begin() ? keys_.front().key : std::prev(later)->key;
}

std::vector<JwtAuthority> JwtKeyring::authorities() const {
  std::vector<JwtAuthority> all;
  all.reserve(keys_.size());
  for (const Key& key : keys_) all.push_back(key.key.authority());
  return all;
}

}  // namespace nodepilot
