// impairment.h - what becomes of each frame of one direction: the decisions of the stage, without any I/O.
//
// Model     told of each frame when it comes; answers whether it is lost, when and how often it leaves, and which bit
//           is flipped. One draw per named impairment and frame, so one seed gives one sequence of fates, whatever
//           the times are; only the queue of a rate limit depends on time.
// Units     Instant and Duration, nanoseconds; nothing here reads a clock.
// Limits    Plan::queue bounds the rate limit's backlog.
// Not here  keeping the frames (delay_line.h).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>

#include "dataplane/core/clock.h"
#include "tests/support/impair/plan.h"
#include "tests/support/seeded.h"

namespace penstock::impair {

/// Octets of the Ethernet header: never corrupted, since no real link delivers a frame with a wrong one.
inline constexpr std::size_t kEthernetOctets = 14;

enum class Fate : std::uint8_t { forwarded, lost, overflowed };

struct Passage {
  Fate fate{Fate::forwarded};
  std::uint8_t copies{1};
  std::array<Instant, 2> leaves{};
  std::uint32_t overtaken_by{};  ///< released early after so many later frames; 0: by time alone
  bool reordered{};
  bool corrupted{};
  std::uint32_t corrupt_bit{};  ///< counted from the frame's first octet
};

/// What happened to the frames of one direction.
struct Counters {
  std::uint64_t frames{}, octets{}, lost{}, overflowed{}, reordered{}, duplicated{}, corrupted{};
};

class Impairment {
 public:
  Impairment(const Plan& plan, std::uint64_t seed) : plan_{plan}, random_{seed} {}
  Passage pass(Instant now, std::size_t octets);
  [[nodiscard]] const Counters& counters() const { return counters_; }

 private:
  bool chance(PerMillion of) { return of != 0 && random_.below(kAlways) < of; }
  [[nodiscard]] bool loses();
  /// When the rate limit lets it go; `overflowed` when the queue is too long.
  [[nodiscard]] bool queue(Instant now, std::size_t octets, Instant& leaves);
  [[nodiscard]] Instant delayed(Instant leaves);

  Plan plan_;
  test::Seeded random_;
  Counters counters_;
  std::uint32_t burst_left_{};
  Instant free_at_{};
  Instant last_leaves_{};
};

}  // namespace penstock::impair
