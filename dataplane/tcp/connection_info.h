// connection_info.h - one connection in plain values, for status pages and tests.
//
// Model     a copy of what the machines know at one moment; nothing depends on it.
// Units     in the names.
#pragma once
#include <cstdint>

#include "dataplane/tcp/close.h"
#include "dataplane/tcp/recovery.h"

namespace penstock::tcp {

struct ConnectionInfo {
  State state{State::closed};
  Phase phase{Phase::open};
  std::uint32_t srtt_us{};  ///< zero: no sample yet
  std::uint32_t rttvar_us{};
  std::uint32_t min_rtt_us{};
  std::uint32_t rto_ms{};
  std::uint32_t cwnd_octets{};
  std::uint32_t ssthresh_octets{};
  std::uint32_t flight_octets{};
  std::uint32_t outstanding_octets{};  ///< payload queued or unacknowledged
  std::uint32_t send_window_octets{};
  std::uint32_t receive_window_octets{};
  std::uint32_t unconsumed_octets{};
  std::uint32_t retransmitted_segments{};
  std::uint16_t mss{};          ///< payload and options of a full segment
  std::uint64_t octets_sent{};  ///< payload handed out by transmit(), each octet once
  std::uint64_t octets_acked{};
  std::uint64_t octets_received{};  ///< payload handed on, in order
  bool sack{};
  bool timestamps{};
  bool window_scaling{};
};

}  // namespace penstock::tcp
