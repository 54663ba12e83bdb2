// match.h - is a segment that left the one that the script expects.
//
// Model     numbers of the wire become numbers of the script by offsets that the first SYN each way fixes. What the
//           script leaves out is not compared. A packet of the script larger than a segment stands for several that
//           leave together, as a host with segmentation offload shows them.
// Units     sequence numbers as the script writes them.
// Errors    the first difference, as text.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "tests/conformance/runner/host.h"

namespace penstock::script {

/// Between a script's numbers and those of one connection.
struct Mapping {
  std::uint32_t local{0x30000000};   ///< wire minus script, of our numbers
  std::uint32_t remote{0x50000000};  ///< of the peer's
  std::uint32_t remote_first{};      ///< of the peer's SYN in the script; what is no SYN counts from there
  bool local_known{};
  bool has_first_ts{};
  std::uint32_t first_ts_script{}, first_ts_wire{};
  std::optional<std::uint32_t> fin;           ///< the number of our FIN, once it has left
  std::map<std::uint32_t, std::uint32_t> ts;  ///< our TS values: script to wire

  /// Wire minus script, of the peer's numbers in a segment with these flags.
  [[nodiscard]] std::uint32_t remote_in(std::uint8_t flags) const {
    return (flags & kFlagSyn) != 0 ? remote : remote + remote_first;
  }
};

/// The segment in the script's numbers.
[[nodiscard]] Sent to_script(const Sent& sent, const Packet& expected, Mapping& mapping);
/// Empty, or what differs.
[[nodiscard]] std::string difference(const Sent& sent, const Packet& expected, const Settings& settings,
                                     std::uint32_t window_slack);
/// BSD repeats its FIN on acknowledgements while it is unacknowledged: `F. 1:1(0)` where we send `. 2:2(0)`. Both say
/// the same; the latter becomes the former.
void repeat_fin(Sent& sent, const Packet& expected, const Mapping& mapping);
/// `next` continues `sent` as the same burst.
[[nodiscard]] bool joins(const Sent& sent, const Sent& next, std::int64_t tolerance_us);
[[nodiscard]] std::string text_of(const Packet& packet);
[[nodiscard]] std::string text_of(const Sent& sent);

}  // namespace penstock::script
