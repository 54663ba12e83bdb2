// limits.h - every limit and time of the TCP engine.
//
// Model     one value, set before the engine starts; defaults are what a mesh node wants, deviations are named.
// Units     Duration; octets; counts. A zero duration turns the matter off where that is said.
// Errors    none: a test states the relations between the values.
#pragma once
#include <chrono>
#include <cstdint>

#include "dataplane/core/clock.h"

namespace penstock::tcp {

enum class CongestionControl : std::uint8_t { reno, cubic };

struct Limits {
  // Retransmission (RFC 6298). The floor is below the RFC's 1 s on purpose: every peer is a modern stack, and 200 ms
  // is what they use themselves. Lower meets their delayed acknowledgements, higher makes each tail loss cost more.
  Duration rto_initial{std::chrono::seconds{1}};
  Duration rto_min{std::chrono::milliseconds{200}};
  Duration rto_max{std::chrono::seconds{60}};
  Duration rto_slop{0};           ///< added to each timeout but the first of a handshake; FreeBSD adds 200 ms
  Duration rto_deviation_min{0};  ///< least of the deviation's part, RFC 6298's G; Linux has its floor of 200 ms here
  std::uint8_t retries_max{15};
  std::uint8_t syn_retries_max{6};  ///< repetitions of a SYN-ACK

  // Our own SYNs (RFC 6298 s2.1 and s5.5; RFC 8961 leaves room for both deviations where the path is known).
  Duration connect_rto_initial{std::chrono::seconds{1}};
  Duration connect_rto_max{std::chrono::seconds{60}};
  std::uint8_t connect_retries_max{6};  ///< zero: repeated until the application gives up
  /// Each timeout of a handshake is longer by a draw of up to this, another one for every connection and repetition:
  /// many that began together and lost their segments to one full queue would else repeat them into the next. Zero:
  /// off.
  std::uint8_t handshake_spread_percent{0};

  Duration delayed_ack{std::chrono::milliseconds{40}};
  std::uint8_t ack_every{2};  ///< full segments in order per acknowledgement (RFC 9293 s3.8.6.3 says two)
  Duration persist_max{std::chrono::seconds{60}};
  Duration time_wait{std::chrono::seconds{60}};
  Duration fin_wait_2{std::chrono::seconds{30}};  ///< only when the application reads no more
  Duration keepalive_idle{0};                     ///< zero: off
  Duration keepalive_interval{std::chrono::seconds{75}};
  std::uint8_t keepalive_probes{9};
  Duration user_timeout{0};  ///< zero: off (RFC 5482); oldest unacknowledged octet's age

  std::uint32_t receive_budget_octets{256 * 1024};  ///< an endpoint's first; set_receive_budget() changes it
  std::uint32_t send_budget_octets{256 * 1024};     ///< likewise, set_send_budget()
  std::uint16_t send_entries_max{1024};             ///< segments queued by one connection
  std::uint16_t reassembly_entries_max{256};        ///< pieces held out of order by one connection
  std::uint8_t window_shift{7};                     ///< offered; at most 14 (RFC 7323 s2.3)
  std::uint8_t initial_window_segments{10};         ///< RFC 6928
  std::uint8_t slow_start_growth_segments{1};       ///< per acknowledgement (RFC 5681 says 1, RFC 3465 allows 2)
  std::uint8_t challenge_acks_per_second{10};       ///< per connection (RFC 5961 s7), so that no counter is shared
  std::uint16_t blackhole_mss_v4{536};              ///< used after repeated timeouts of full segments (RFC 4821 s7.7)
  std::uint16_t blackhole_mss_v6{1220};

  // CUBIC is what the peers use: a mix with Reno on a shared bottleneck gives Reno less than its share. Over round
  // trips within a node or a rack it is in its Reno-friendly region, so nothing is lost there.
  CongestionControl congestion_control{CongestionControl::cubic};
  bool hystart{true};  ///< leaves the first slow start early when a queue builds (RFC 9406), with CUBIC only

  bool restart_after_idle{true};  ///< from the initial window (RFC 5681 s4.1)
  bool nagle{false};              ///< a proxy forwards what is there
  bool sack{true};
  bool rack{true};  ///< loss by time and tail probes (RFC 8985), with SACK only
  bool timestamps{true};
  bool window_scaling{true};
  bool header_prediction{true};  ///< off: every segment takes the general way, to the same effect; for tests
};

}  // namespace penstock::tcp
