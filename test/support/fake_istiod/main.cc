// The fake istiod as a process, for tests that drive the real daemon. Its first line tells where it
// listens and whom it is trusted by; then it answers each line of its standard input with one line
// of JSON, until that ends:
//   trust TOKEN SPIFFE_ID [node]     distrust TOKEN
//   fault NAME [MILLISECONDS [SPIFFE_ID]]
//   counts
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>

#include "test/support/fake_istiod/fake_istiod.h"

namespace {

using nlohmann::json;
using nodepilot::test::FakeIstiod;

json counts_of(const FakeIstiod& istiod) {
  auto counts = istiod.counts();
  auto heard = istiod.heard();
  return {{"calls", counts.calls},
          {"in_flight", counts.in_flight},
          {"most_in_flight", counts.most_in_flight},
          {"most_per_second", counts.most_per_second},
          {"signed_for", counts.signed_for},
          {"tokens", counts.tokens},
          {"decoy_connections", heard.connections},
          {"decoy_handshakes", heard.handshakes},
          {"decoy_bytes", heard.bytes.size()}};
}

json obey(FakeIstiod& istiod, const std::string& line) {
  std::istringstream words(line);
  std::string verb, first, second, third;
  words >> verb >> first >> second >> third;
  if (verb == "counts") return counts_of(istiod);
  if (verb == "trust" && !second.empty()) {
    istiod.trust(first, second, third == "node");
  } else if (verb == "distrust" && !first.empty()) {
    istiod.distrust(first);
  } else if (auto fault = nodepilot::test::parse_fault(first); verb == "fault" && fault) {
    istiod.set(*fault, std::chrono::milliseconds(std::atoll(second.c_str())), third);
  } else {
    return {{"error", "no such command: " + line}};
  }
  return json::object();
}

}  // namespace

int main() {
  FakeIstiod istiod;
  std::cout << json{{"address", istiod.address()}, {"root", istiod.root()}} << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << obey(istiod, line) << std::endl;
  }
}
