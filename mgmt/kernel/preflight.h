// preflight.h - can this machine run Penstock? Every answer at once, each with its remedy.
//
// Model     each check tries the thing itself (creates a map, a socket, an empty nft transaction) instead of
//           guessing from versions. Nothing is left behind.
// Errors    a failed check is a row, never an early return.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/core/result.h"

namespace penstock::kernel {

struct PreflightCheck {
  std::string_view name;  ///< "kernel", "bpf", ...
  bool ok{false};
  bool required{true};  ///< false: Penstock runs without it, with the loss that `problem` names
  std::string detail;   ///< what was found, for a person
  Problem problem;      ///< when not ok
};

struct PreflightOptions {
  std::string runtime_dir{"/run/penstock"};
  bool fallback{true};  ///< nftables and forwarding matter; the source ports get reserved
  std::uint16_t source_port_low{16384};
  std::uint16_t source_port_high{29999};
};

/// kernel, capabilities, memlock, bpf, btf, bpffs, xdp, af_xdp, source_ports, nftables: in this order.
[[nodiscard]] std::vector<PreflightCheck> preflight(const PreflightOptions& options = {});
/// Whether the node's own connections may take a port that belongs to the fast path. Never required.
[[nodiscard]] PreflightCheck check_source_ports(const PreflightOptions& options);
/// Whether the kernel takes large frames (ADR 0019) on any port at all; `place` names the port that wants them.
[[nodiscard]] Status check_large_frames(const std::string& place);
/// The problems of failed required checks.
[[nodiscard]] Problems required_problems(const std::vector<PreflightCheck>& checks);

}  // namespace penstock::kernel
