#pragma once

#include <string>

#include "agent/config/config.h"

namespace nodepilot {

// What a configuration is refused for, one line each; empty if it is accepted.
inline std::string mistakes_in(const tl::expected<Config, ConfigErrors>& config) {
  if (config) return "";
  std::string all;
  for (const ConfigError& error : config.error()) all += error.str() + "\n";
  return all;
}

}  // namespace nodepilot
