// link.h - one direction of the wire: delay and every fault that a plan names.
//
// Model     told of each packet when it is sent; answers when, and how often, and how damaged it arrives. Draws from
//           the run's generator, so the same seed gives the same faults.
// Units     virtual microseconds.
#pragma once
#include <array>
#include <cstdint>

#include "tests/sim/tcp/scenario.h"
#include "tests/support/seeded.h"

namespace penstock::tcpsim {

enum class Fate : std::uint8_t { delivered, lost, too_big };

struct Passage {
  Fate fate{Fate::delivered};
  std::uint8_t copies{1};
  std::array<std::uint64_t, 2> arrives_us{};
  bool corrupted{};
  std::uint32_t corrupt_bit{};
  std::uint16_t mtu{};  ///< of too_big
};

class Link {
 public:
  Link(const LinkPlan& plan, std::uint64_t start_us) : plan_{plan}, start_us_{start_us} {}
  /// `no_payload`: a pure acknowledgement, which lose_nth counts.
  Passage pass(test::Seeded& random, std::uint64_t now_us, std::uint32_t octets, bool no_payload);
  [[nodiscard]] std::uint16_t mtu(std::uint64_t now_us) const;
  [[nodiscard]] const LinkPlan& plan() const { return plan_; }

 private:
  [[nodiscard]] bool loses(test::Seeded& random, bool no_payload);
  std::uint64_t arrival(test::Seeded& random, std::uint64_t sent_us);

  LinkPlan plan_;
  std::uint64_t start_us_;
  std::uint64_t free_at_us_{};
  std::uint64_t last_arrival_us_{};
  std::uint32_t burst_left_{};
  std::uint32_t pure_acks_{};
  std::uint32_t packets_{};
  std::uint32_t lost_of_all_{};
};

}  // namespace penstock::tcpsim
