// Reads and writes of a client's socket that never wait. Thread: loop.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "sds/rpc/output_queue.h"

namespace nodepilot {

struct Received {
  std::string_view bytes;  // in the space that was given
  pid_t sender = 0;        // who sent them, as the kernel says (SO_PASSCRED); 0 if it does not
  bool gone = false;       // the other end is closed or broken
};
// Nothing has come if there are no bytes and the client is not gone. Descriptors that it passes
// are dropped.
Received receive(int socket, std::span<char> space);

// How many of the first bytes of `output` the socket took: 0 if it takes none now, nullopt if the
// client is gone.
std::optional<std::size_t> send(int socket, const OutputQueue& output);

}  // namespace nodepilot
