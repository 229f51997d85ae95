#include "test/support/fake_istiod/mint.h"

#include <openssl/pem.h>

#include <utility>

namespace nodepilot::test {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr Duration kYear = hours(24) * 365;
constexpr std::size_t kTenMegabytes = std::size_t{10} * 1024 * 1024;

using KeyPtr = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

// The public key of a CSR that is signed by it; null for any other text.
KeyPtr key_of(const std::string& csr) {
  std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(
      BIO_new_mem_buf(csr.data(), static_cast<int>(csr.size())), BIO_free_all);
  std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> request(
      PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr), X509_REQ_free);
  KeyPtr key(request ? X509_REQ_get_pubkey(request.get()) : nullptr, EVP_PKEY_free);
  if (key && X509_REQ_verify(request.get(), key.get()) != 1) key.reset();
  return key;
}

std::string pem_of(const std::string& der) {
  std::unique_ptr<BIO, decltype(&BIO_free_all)> bio(BIO_new(BIO_s_mem()), BIO_free_all);
  PEM_write_bio(bio.get(), "CERTIFICATE", "", reinterpret_cast<const unsigned char*>(der.data()),
                static_cast<long>(der.size()));
  char* text = nullptr;
  long length = BIO_get_mem_data(bio.get(), &text);
  return {text, static_cast<std::size_t>(length)};
}

// The same ID, but for the case of a letter of its path.
std::string other_case(std::string id) {
  std::size_t path = id.find('/', std::string_view("spiffe://").size());
  for (std::size_t place = path; place < id.size(); ++place) {
    if (std::islower(static_cast<unsigned char>(id[place])) == 0) continue;
    id[place] = static_cast<char>(std::toupper(static_cast<unsigned char>(id[place])));
    break;
  }
  return id;
}

// The same ID to whoever unescapes its last character.
std::string escaped(std::string id) {
  const char* digits = "0123456789ABCDEF";
  auto last = static_cast<unsigned char>(id.back());
  id.pop_back();
  return id + '%' + digits[last / 16] + digits[last % 16];
}

Recipe tls_recipe(const std::string& dns_name) {
  Time now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  Recipe recipe;
  recipe.sans.push_back({GEN_DNS, dns_name});
  recipe.key_usage = "critical,digitalSignature,keyEncipherment";
  recipe.validity = {now - hours(1), now + kYear};
  return recipe;
}

// What the fault does to a good leaf.
void spoil(Recipe& leaf, const Mint::Order& order, Time now) {
  const auto time = order.misdeed.time;
  switch (order.misdeed.fault) {
    case Fault::kOtherId:
      leaf.sans = {{GEN_URI, order.id + "x"}};
      break;
    case Fault::kTwoIds:
      leaf.uri(order.id + "x");
      break;
    case Fault::kDnsName:
      leaf.sans.push_back({GEN_DNS, "bank.example"});
      break;
    case Fault::kIpName:
      leaf.sans.push_back({GEN_IPADD, {127, 0, 0, 1}});
      break;
    case Fault::kEmailName:
      leaf.sans.push_back({GEN_EMAIL, "root@bank.example"});
      break;
    case Fault::kOtherCase:
      leaf.sans = {{GEN_URI, other_case(order.id)}};
      break;
    case Fault::kEscaped:
      leaf.sans = {{GEN_URI, escaped(order.id)}};
      break;
    case Fault::kExpired:
      leaf.validity = {now - hours(2), now - std::chrono::seconds(1)};
      break;
    case Fault::kNotYetValid:
      leaf.validity = {now + time, now + time + order.life};
      break;
    case Fault::kLife:
      leaf.validity.not_after = now + time;
      break;
    case Fault::kCaLeaf:
      leaf.basic_constraints = "critical,CA:TRUE";
      break;
    case Fault::kSigningLeaf:
      leaf.key_usage += ",keyCertSign";
      break;
    case Fault::kNoServerUse:
      leaf.extended_key_usage = "clientAuth";
      break;
    case Fault::kNoClientUse:
      leaf.extended_key_usage = "serverAuth";
      break;
    default:
      break;
  }
}

// What the fault does to a good answer: leaf, intermediate, roots.
using Chain = std::vector<std::string>;
Chain spoiled(Fault fault, const Chain& good, const std::string& leaf_der,
              const std::string& other_root) {
  const auto& [leaf, middle, root] = std::tie(good[0], good[1], good[2]);
  switch (fault) {
    case Fault::kEmptyChain:
      return {};
    case Fault::kNoLeaf:
      return {middle, root};
    case Fault::kNoIntermediate:
      return {leaf, root};
    case Fault::kOtherOrder:
      return {middle, leaf, root};
    case Fault::kDuplicates:
      return {leaf, leaf, middle, middle, root};
    case Fault::kRootInChain:
      return {leaf, middle, root, root};
    case Fault::kGarbage:
      return {"there is no certificate here", middle, root};
    case Fault::kGarbageInPem:
      return {pem_of("nor in here"), middle, root};
    case Fault::kTruncated:
      return {leaf.substr(0, leaf.size() / 2), middle, root};
    case Fault::kTrailingBytes:
      return {pem_of(leaf_der + "more"), middle, root};
    case Fault::kTenMegabytes:
      return {leaf, std::string(kTenMegabytes, '\n'), middle, root};
    case Fault::kTwoRoots:
      return {leaf, middle, other_root + root};
    case Fault::kOtherRoots:
      return {leaf, middle, other_root};
    case Fault::kNoRoots:
      return {leaf, middle, ""};
    case Fault::kHundredCertificates: {
      Chain chain(99, middle);
      chain.front() = leaf;
      chain.push_back(root);
      return chain;
    }
    default:
      return good;
  }
}

}  // namespace

Mint::Mint(std::function<Time()> now)
    : now_(std::move(now)),
      root_(long_lived_root("fake istiod")),
      middle_(
          root_.intermediate("fake istiod, below",
                             [this](Recipe& ca) { ca.validity = root_.certificate.validity(); })),
      narrow_(root_.intermediate("fake istiod, for others",
                                 [this](Recipe& ca) {
                                   ca.validity = root_.certificate.validity();
                                   ca.name_constraints = "critical,permitted;URI:other.example";
                                 })),
      stranger_(long_lived_root("stranger")) {}

TestCa Mint::long_lived_root(const std::string& name) const {
  return TestCa::root(name, [this](Recipe& ca) {
    ca.validity = {now_() - 10 * kYear, now_() + 10 * kYear};
  });
}

Mint::Identity Mint::tls_identity(const TestCa& ca, const std::string& dns_name) {
  PrivateKey key = PrivateKey::generate().value();
  return {ca.sign(tls_recipe(dns_name), key).der(), key};
}

std::string Mint::tls_certificate(EVP_PKEY* key, const std::string& dns_name) const {
  return make_der(tls_recipe(dns_name), key, root_.key.evp(), root_.certificate.x509());
}

Recipe Mint::leaf_recipe(const Order& order) const {
  Time now = now_();
  Recipe leaf;
  leaf.uri(order.id);
  leaf.key_usage = "critical,digitalSignature,keyEncipherment";
  leaf.serial_bits = 128;
  leaf.validity = {now - minutes(2), now + order.life};
  spoil(leaf, order, now);
  return leaf;
}

std::optional<std::vector<std::string>> Mint::fill(const Order& order) {
  KeyPtr asked = key_of(order.csr);
  if (!asked) return std::nullopt;
  const Fault fault = order.misdeed.fault;
  const TestCa& issuer = fault == Fault::kUnknownRoot      ? stranger_
                         : fault == Fault::kNameConstraint ? narrow_
                                                           : middle_;
  PrivateKey other_key = PrivateKey::generate().value();
  EVP_PKEY* key = fault == Fault::kOtherKey ? other_key.evp() : asked.get();
  std::string der = make_der(leaf_recipe(order), key, issuer.key.evp(), issuer.certificate.x509());
  std::string roots = fault == Fault::kUnknownRoot ? unknown_root() : root();
  return spoiled(fault, {pem_of(der), issuer.certificate.pem(), roots}, der, unknown_root());
}

}  // namespace nodepilot::test
