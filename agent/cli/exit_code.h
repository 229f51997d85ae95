// What the process ends with. Scripts rely on these numbers. Thread: any.
#pragma once

#include "agent/base/result.h"

namespace nodepilot {

enum class ExitCode {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kUnreachable = 3,
  kDenied = 4,
  kLimitCrossed = 5,
  kTimedOut = 6,
  kConfigInvalid = 78,  // EX_CONFIG
};

// For a call to an agent that ended with `code`.
inline ExitCode exit_code_of(Code code) {
  switch (code) {
    case Code::kOk:
      return ExitCode::kOk;
    case Code::kUnavailable:
      return ExitCode::kUnreachable;
    case Code::kPermissionDenied:
      return ExitCode::kDenied;
    case Code::kDeadlineExceeded:
      return ExitCode::kTimedOut;
    default:
      return ExitCode::kFailed;
  }
}

}  // namespace nodepilot
