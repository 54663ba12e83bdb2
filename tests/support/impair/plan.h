// plan.h - what the impairment stage does to the frames of one direction, and its text form.
//
// Model     a comma-separated list: loss=1,burst=0.1x8,reorder=2,reorder-delay=300us,reorder-frames=3,duplicate=0.1,
//           delay=1ms,jitter=200us,corrupt=0.01,rate=100m,queue=20ms. "" or "none" forwards untouched.
// Units     chances in percent, at a resolution of one in a million; times with ns, us, ms or s; rate in bits per
//           second with k, m or g.
// Errors    an unknown name or a bad value: a sentence that names it.
// Not here  the draws (impairment.h), the interfaces (packet_port.h).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "dataplane/core/clock.h"
#include "dataplane/core/result.h"

namespace penstock::impair {

/// A chance in one millionth.
using PerMillion = std::uint32_t;
inline constexpr PerMillion kAlways = 1'000'000;

struct Plan {
  PerMillion loss{};                ///< of each frame on its own
  PerMillion burst{};               ///< that a burst of losses begins at this frame
  std::uint32_t burst_frames{1};    ///< frames lost in a burst
  PerMillion reorder{};             ///< that a frame is held back while later ones overtake it
  std::uint32_t reorder_frames{};   ///< held until so many have overtaken it; 0: by time alone
  Duration reorder_delay{300'000};  ///< held at most so long
  PerMillion duplicate{};           ///< that a frame arrives twice
  PerMillion corrupt{};             ///< that one bit behind the Ethernet header is flipped
  Duration delay{};                 ///< of every frame
  Duration jitter{};                ///< uniform, on top; alone it keeps the order
  std::uint64_t bits_per_second{};  ///< 0: no limit
  Duration queue{20'000'000};       ///< longest wait for the rate limit; more is dropped

  friend bool operator==(const Plan&, const Plan&) = default;
};

Result<Plan, std::string> parse_plan(std::string_view text);

}  // namespace penstock::impair
