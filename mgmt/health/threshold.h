// threshold.h - from single results to a state that does not flap.
//
// Model     unknown until the first result, which decides at once: a server that was never well must not get three
//           rounds of traffic. After that so many results in a row turn the state: healthy_threshold good ones,
//           unhealthy_threshold bad ones.
// Errors    none.
#pragma once
#include <cstdint>

namespace penstock::health {

enum class State : std::uint8_t { unknown, healthy, unhealthy };

class Threshold {
 public:
  Threshold(std::uint32_t healthy, std::uint32_t unhealthy) : healthy_{healthy}, unhealthy_{unhealthy} {}
  /// True when the state changed.
  bool note(bool good) {
    const State before = state_;
    if (state_ == State::unknown) {
      state_ = good ? State::healthy : State::unhealthy;
    } else if (good == (state_ == State::healthy)) {
      against_ = 0;
    } else if (++against_ >= (good ? healthy_ : unhealthy_)) {
      state_ = good ? State::healthy : State::unhealthy;
    }
    if (state_ != before) against_ = 0;
    return state_ != before;
  }
  [[nodiscard]] State state() const { return state_; }

 private:
  std::uint32_t healthy_;
  std::uint32_t unhealthy_;
  std::uint32_t against_{0};  ///< results in a row that contradict the state
  State state_{State::unknown};
};

}  // namespace penstock::health
