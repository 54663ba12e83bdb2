// stage.h - the impairment stage between two interfaces: takes frames, lets each direction's plan decide, sends.
//
// Model     one thread, real time. Frames that are neither IPv4 nor IPv6 (ARP) pass untouched: they carry no checksum,
//           and a lost one costs a second, which would hide what is measured.
// Limits    kLineFrames frames on their way per direction; more are dropped and counted (`line_full`).
// Not here  decisions (impairment.h), interfaces (packet_port.h).
#pragma once
#include <string>

#include "tests/support/impair/delay_line.h"
#include "tests/support/impair/impairment.h"
#include "tests/support/impair/packet_port.h"

namespace penstock::impair {

/// From one port to the other.
class Direction {
 public:
  Direction(PacketPort& from, PacketPort& to, const Plan& plan, std::uint64_t seed)
      : from_{from}, to_{to}, impairment_{plan, seed} {}
  /// Moves what there is, at most a batch, and sends what is due; whether anything was done.
  bool turn(Instant now);
  [[nodiscard]] Instant next() const { return line_.next(); }
  /// One JSON object.
  [[nodiscard]] std::string report();

 private:
  static constexpr std::size_t kLineFrames = 65536;
  void take(std::span<const std::byte> frame, Instant now);
  std::size_t send_due(Instant now);

  PacketPort& from_;
  PacketPort& to_;
  Impairment impairment_;
  DelayLine line_{kLineFrames};
  std::uint64_t spared_{}, line_full_{};
};

}  // namespace penstock::impair
