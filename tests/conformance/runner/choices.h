// choices.h - differences that the standards leave to a stack.
//
// Model     scripts for other stacks say what those do. Where the RFCs ask for no such thing, a difference is no
// verdict:
//           the script is unsupported from there on, and the reason says so. Only where strict_choices is off.
// Units     sequence numbers as the script writes them.
// Errors    none. An empty reason: nothing excuses the difference.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "tests/conformance/runner/host.h"

namespace penstock::script {

/// What a difference is judged by.
struct Scene {
  const Settings& settings;
  const Socket* socket;    ///< of the connection; null when it is gone
  bool path_known;         ///< another connection learned the path MTU
  bool too_big;            ///< an ICMP message told of a smaller path MTU
  std::uint32_t sent_end;  ///< one past the highest number that left before
};

/// `what` differs between the segment that came and the one expected.
[[nodiscard]] std::string_view choice_in(std::string_view what, const Sent& came, const Packet& expected,
                                         const Scene& scene);
/// Nothing came where data or a repeated SYN is expected.
[[nodiscard]] std::string_view choice_in_silence(const Packet& expected, const Scene& scene);
/// A repetition came sooner than the script's stack repeats; `interval` is what that waits.
[[nodiscard]] std::string_view choice_in_time(Duration interval, const Scene& scene);
/// A call returned something else, or at another time.
[[nodiscard]] std::string_view choice_in_call(const Call& call, std::int64_t result, const Scene& scene);
/// An assertion failed; empty if none did.
[[nodiscard]] std::string_view choice_in_assertion(std::string_view failure, const Scene& scene);
[[nodiscard]] bool is_repairing(const Scene& scene);

}  // namespace penstock::script
