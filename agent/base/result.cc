#include "agent/base/result.h"

#include <array>
#include <cstring>

namespace nodepilot {

const char* to_string(Code code) {
  static constexpr std::array kNames = {"OK",
                                        "CANCELLED",
                                        "UNKNOWN",
                                        "INVALID_ARGUMENT",
                                        "DEADLINE_EXCEEDED",
                                        "NOT_FOUND",
                                        "ALREADY_EXISTS",
                                        "PERMISSION_DENIED",
                                        "RESOURCE_EXHAUSTED",
                                        "FAILED_PRECONDITION",
                                        "ABORTED",
                                        "OUT_OF_RANGE",
                                        "UNIMPLEMENTED",
                                        "INTERNAL",
                                        "UNAVAILABLE",
                                        "DATA_LOSS",
                                        "UNAUTHENTICATED"};
  return kNames.at(static_cast<std::size_t>(code));
}

tl::unexpected<Error> fail_errno(std::string what, int errnum) {
  Code code = Code::kInternal;
  if (errnum == ENOENT || errnum == ESRCH) code = Code::kNotFound;
  if (errnum == EACCES || errnum == EPERM) code = Code::kPermissionDenied;
  if (errnum == EEXIST) code = Code::kAlreadyExists;
  std::array<char, 128> text{};
  return fail(code, std::move(what) + ": " + strerror_r(errnum, text.data(), text.size()));
}

tl::unexpected<Error> fail_with(std::string what, const Error& cause) {
  return tl::unexpected<Error>(
      Error{cause.code, std::move(what) + ": " + cause.message, cause.retry_after});
}

}  // namespace nodepilot
