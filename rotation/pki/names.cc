#include "rotation/pki/names.h"

namespace nodepilot {
namespace {

bool append(GENERAL_NAMES* names, int type, const std::string& text) {
  OpensslPtr<ASN1_IA5STRING, ASN1_IA5STRING_free> value(ASN1_IA5STRING_new());
  OpensslPtr<GENERAL_NAME, GENERAL_NAME_free> name(GENERAL_NAME_new());
  if (!value || !name ||
      ASN1_STRING_set(value.get(), text.data(), static_cast<int>(text.size())) != 1) {
    return false;
  }
  GENERAL_NAME_set0_value(name.get(), type, value.release());
  bool is_appended = sk_GENERAL_NAME_push(names, name.get()) > 0;
  if (is_appended) static_cast<void>(name.release());  // `names` owns it now
  return is_appended;
}

}  // namespace

GeneralNamesPtr make_general_names(const std::string& uri,
                                   const std::vector<std::string>& dns_names) {
  GeneralNamesPtr names(GENERAL_NAMES_new());
  bool is_made = names && append(names.get(), GEN_URI, uri);
  for (const std::string& dns_name : dns_names) {
    is_made = is_made && append(names.get(), GEN_DNS, dns_name);
  }
  return is_made ? std::move(names) : nullptr;
}

}  // namespace nodepilot
