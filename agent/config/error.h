// What is wrong in a file that the operator wrote, and where.
// Thread: any.
#pragma once

#include <string>
#include <vector>

#include "agent/config/yaml_tree.h"

namespace nodepilot {

// One mistake: "bad.yaml:4:3: unknown key "trust_domian" (did you mean "trust_domain"?)".
struct ConfigError {
  std::string file;
  int line = 0;    // from 1; 0 if the whole file is meant
  int column = 0;  // from 1
  std::string message;

  std::string str() const;
};
using ConfigErrors = std::vector<ConfigError>;

// In the order of the text; a hundred at most, and how many more there are.
ConfigErrors to_errors(Mistakes mistakes, const std::string& file);

}  // namespace nodepilot
