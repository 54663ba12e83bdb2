// xdp_map.h - the xsks_map of the XDP program on an interface, and whether a queue can be bound.
//
// Model     called in the interface's network namespace, on the control thread. The program is attached by
//           penstockd before a port is added; its map named "xsks_map" takes our sockets, index = queue.
// Errors    Problems that say what is missing on the interface.
#pragma once
#include <cstdint>
#include <string>

#include "dataplane/core/fd.h"
#include "dataplane/core/result.h"

namespace penstock::io {

/// XDP_USE_SG (Linux 6.6), bind flag of a socket for frames of several buffers; Debian's kernel header is older.
inline constexpr std::uint16_t kUseSeveralBuffers = 1 << 4;

struct XsksMap {
  Fd fd;
  std::uint32_t entries{};
};

[[nodiscard]] Result<XsksMap> find_xsks_map(const std::string& name, unsigned ifindex);

/// Binds a throw-away AF_XDP socket to the queue and closes it: tells why it cannot be bound before the driver,
/// which loses buffers on failure, tries.
[[nodiscard]] Status probe_queue(const std::string& name, unsigned ifindex, unsigned queue, bool large_frames);

}  // namespace penstock::io
