#include "rotation/state/stored_svid.h"

#include <fmt/format.h>

#include <algorithm>

#include "rotation/pki/bundle_document.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxFields = 200;
constexpr std::size_t kLengthBytes = 4;

// A list of fields, each with its length before it, in wiping memory from end to end: no library
// between here and the file that could leave a copy of the key behind.
class FieldWriter {
 public:
  template <class Bytes>
  void add(const Bytes& field) {
    for (std::size_t shift : {24, 16, 8, 0}) bytes_.push_back((field.size() >> shift) & 0xff);
    bytes_.insert(bytes_.end(), field.begin(), field.end());
  }
  SecretBytes take() { return std::move(bytes_); }

 private:
  SecretBytes bytes_;
};

using Fields = std::vector<SecretBytes>;

tl::unexpected<Error> malformed(const std::string& why) {
  return fail(Code::kDataLoss, "its content is malformed: " + why);
}

expected<Fields> read_fields(const SecretBytes& bytes) {
  Fields fields;
  auto at = bytes.begin();
  auto left = [&] { return static_cast<std::size_t>(bytes.end() - at); };
  while (left() > 0) {
    if (left() < kLengthBytes || fields.size() == kMaxFields) return malformed("fields");
    std::size_t length = 0;
    for (std::size_t i = 0; i < kLengthBytes; ++i) length = length << 8 | *at++;
    if (length > left()) return malformed("a field is cut short");
    fields.emplace_back(at, at + static_cast<std::ptrdiff_t>(length));
    at += static_cast<std::ptrdiff_t>(length);
  }
  return fields;
}

std::string text_of(const SecretBytes& field) { return {field.begin(), field.end()}; }

expected<std::uint64_t> parse_number(const SecretBytes& field, std::uint64_t most) {
  std::string text = text_of(field);
  bool digits = !text.empty() && text.size() < 19 &&
                std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::stoull(text) > most) return malformed("a number");
  return std::stoull(text);
}

template <class T>
expected<T> as_damage(expected<T> result) {
  if (result) return result;
  return malformed(result.error().message);
}

}  // namespace

// ID, arrival, key, number of DNS names, DNS names, certificates.
SecretBytes encode_svid(const StoredSvid& svid) {
  FieldWriter out;
  out.add(svid.spiffe_id.str());
  out.add(std::to_string(svid.arrived.time_since_epoch().count()));
  out.add(svid.key.pkcs8_der());
  out.add(std::to_string(svid.dns_names.size()));
  for (const std::string& name : svid.dns_names) out.add(name);
  for (const Certificate& certificate : svid.chain) out.add(certificate.der());
  return out.take();
}

expected<StoredSvid> decode_svid(const SecretBytes& bytes) {
  constexpr std::size_t kFixed = 4;
  Fields fields = TRY(read_fields(bytes));
  if (fields.size() <= kFixed) return malformed("too few fields");
  auto id = TRY(as_damage(SpiffeId::parse(text_of(fields[0]))));
  auto arrived = TRY(parse_number(fields[1], Time::max().time_since_epoch().count()));
  auto key = TRY(as_damage(PrivateKey::parse_pkcs8(fields[2])));
  auto names = TRY(parse_number(fields[3], fields.size() - kFixed));
  StoredSvid svid{.spiffe_id = std::move(id),
                  .dns_names = {},
                  .arrived = Time(Duration(arrived)),
                  .key = std::move(key),
                  .chain = {}};
  for (std::size_t i = kFixed; i < fields.size(); ++i) {
    if (i < kFixed + names) {
      svid.dns_names.push_back(text_of(fields[i]));
    } else {
      svid.chain.push_back(TRY(as_damage(Certificate::parse_der(text_of(fields[i])))));
    }
  }
  return svid;
}

SecretBytes encode_bundle(const TrustBundle& bundle) {
  FieldWriter out;
  out.add(bundle.trust_domain().name());
  out.add(write_bundle_document({.bundle = bundle}));
  return out.take();
}

expected<TrustBundle> decode_bundle(const SecretBytes& bytes) {
  Fields fields = TRY(read_fields(bytes));
  if (fields.size() != 2) return malformed("not two fields");
  auto name = TRY(as_damage(TrustDomain::parse(text_of(fields[0]))));
  auto document = TRY(as_damage(parse_bundle_document(name, text_of(fields[1]))));
  return as_damage(
      TrustBundle::create(name, document.bundle.roots(), document.bundle.jwt_authorities()));
}

}  // namespace nodepilot
