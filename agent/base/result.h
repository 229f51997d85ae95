// Errors as values. What can fail returns expected<T>; nothing throws between rooms.
// Thread: any.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace nodepilot {

// The canonical gRPC codes with gRPC's numbers, so that an Error is also a call's status.
enum class Code {
  kOk = 0,
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
  kUnauthenticated = 16,
};

// "UNAVAILABLE", "PERMISSION_DENIED", ...
const char* to_string(Code code);

// `message` says what was tried, on what, and why it failed:
// "read /proc/12/status: permission denied".
struct Error {
  Code code = Code::kUnknown;
  std::string message;
  // Set if whoever refused said when to come again.
  std::optional<std::chrono::milliseconds> retry_after{};
};

template <class T>
using expected = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(Code code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message)});
}

// The same, with the text of `errnum` appended: "open /a: No such file or directory".
tl::unexpected<Error> fail_errno(std::string what, int errnum);

// The same error, its retry_after too, with "what: " put before its message.
tl::unexpected<Error> fail_with(std::string what, const Error& cause);

namespace detail {
template <class T>
T take(expected<T>&& result) {
  return *std::move(result);
}
inline void take(expected<void>&&) {}
}  // namespace detail

// The value of an expected, or an early return of its error.
#define TRY(expression)                                                                        \
  __extension__({                                                                              \
    auto try_result = (expression);                                                            \
    if (!try_result) return tl::unexpected<::nodepilot::Error>(std::move(try_result).error()); \
    ::nodepilot::detail::take(std::move(try_result));                                          \
  })

}  // namespace nodepilot
