#include "sds/rpc/call.h"

#include <google/protobuf/message_lite.h>

namespace nodepilot {

Frame make_frame(const google::protobuf::MessageLite& message, bool secret) {
  std::size_t size = message.ByteSizeLong();
  auto bytes = std::make_shared<std::string>();
  // Reserved whole, so that no growth leaves a copy of a key behind.
  bytes->reserve(5 + size);
  bytes->push_back('\0');  // not compressed
  for (int shift = 24; shift >= 0; shift -= 8) {
    bytes->push_back(static_cast<char>((size >> shift) & 0xff));
  }
  message.AppendToString(bytes.get());
  return Frame{std::move(bytes), secret};
}

std::vector<std::string_view> Metadata::all(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [field, value] : fields) {
    if (field == name) values.push_back(value);
  }
  return values;
}

}  // namespace nodepilot
