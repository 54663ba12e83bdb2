// plain_parse.h - the parser of the steering program once more, as plainly as possible: its reference.
//
// Model     every octet is read through at(), which knows the frame's end; no shared code with bpf/lib/parse.h.
#pragma once
#include <cstdint>
#include <optional>
#include <span>

#include "bpf/lib/parse.h"
#include "dataplane/core/addresses.h"

namespace penstock::test {

struct PlainPacket {
  std::uint32_t reason{PENSTOCK_PARSED};
  std::uint8_t kind{};
  IpAddress src, dst;
  std::uint16_t src_port{}, dst_port{};
  std::uint8_t proto{}, tcp_flags{};
};

[[nodiscard]] PlainPacket plain_parse(std::span<const std::uint8_t> frame);

}  // namespace penstock::test
