// endpoint.h - one end of one TCP connection: the composition of the small machines, and nothing else.
//
// Model     plain state; every rule is in the machines' own files or in engine*.cpp, which moves them. It lives in a
//           slab of the owner, holds no pointer and knows neither addresses nor buffers, only indices into Pools.
// Shape     at most 384 octets, asserted; trivially copyable.
// Errors    none.
#pragma once
#include <algorithm>
#include <type_traits>

#include "dataplane/tcp/challenge.h"
#include "dataplane/tcp/close.h"
#include "dataplane/tcp/congestion.h"
#include "dataplane/tcp/delayed_ack.h"
#include "dataplane/tcp/pmtu.h"
#include "dataplane/tcp/rack.h"
#include "dataplane/tcp/reassembly.h"
#include "dataplane/tcp/recovery.h"
#include "dataplane/tcp/rto.h"
#include "dataplane/tcp/send_queue.h"
#include "dataplane/tcp/window.h"

namespace penstock::tcp {

/// What the one transmit-side deadline means.
enum class TimerKind : std::uint8_t { none, retransmit, persist };
/// What the earlier deadline of RFC 8985 means.
enum class LossTimer : std::uint8_t { none, reordering, tail_probe };

/// Timestamps option (RFC 7323 s3 to s5).
struct Timestamps {
  std::uint32_t offset{};               ///< added to our clock
  std::uint32_t recent{};               ///< TS.Recent
  std::uint32_t recent_second : 31 {};  ///< when it was taken, for the 24-day rule
  std::uint32_t on : 1 {};
};

/// Payload of a segment that the device is to cut, at most: what a buffer takes beside all headers. In the 2 KiB of a
/// payload block it fits likewise.
inline constexpr std::uint16_t kLargePayloadMax = 1920;

struct Endpoint {
  State state{State::closed};
  TimerKind timer_kind : 2 {TimerKind::none};
  LossTimer loss_timer_kind : 2 {LossTimer::none};
  bool sack : 1 {};            ///< negotiated
  bool window_scaling : 1 {};  ///< negotiated
  bool rack_on : 1 {};
  bool fin_queued : 1 {};       ///< the application will write no more
  bool read_closed : 1 {};      ///< the application will read no more
  bool reset_due : 1 {};        ///< a reset is to be sent; the state is closed already
  bool probe_due : 1 {};        ///< a window or keepalive probe is to be sent
  bool tail_probe_due : 1 {};   ///< RFC 8985 s7
  bool override_window : 1 {};  ///< sender's silly-window rule is off for one segment (RFC 9293 s3.8.6.2.1)
  bool cwnd_limited : 1 {};
  bool heard : 1 {};  ///< something acceptable arrived since the transmit timer last expired
  bool has_dsack : 1 {};
  bool device_cuts : 1 {};  ///< the device cuts segments that are too large by its MTU (the caller says so)
  std::uint8_t retries{};   ///< timeouts, or unanswered probes, in a row
  std::uint8_t persist_backoff{};
  std::uint8_t keepalive_probes{};
  std::uint8_t large_timeouts{};

  SeqNum irs;
  SeqNum rcv_nxt;
  SeqNum last_ack;  ///< Last.ACK.sent
  SackBlock dsack;

  std::uint32_t receive_budget{};  ///< octets promised to the peer plus octets not consumed, at most
  std::uint32_t send_budget{};     ///< octets queued or unacknowledged, at most
  std::uint32_t retransmitted_segments{};
  std::uint64_t octets_delivered{};  ///< handed on
  std::uint64_t octets_acked{};      ///< payload the peer has acknowledged

  SendQueue queue;
  SendWindow send_window;
  ReceiveWindow receive_window;
  Reassembly reassembly;
  Congestion congestion;
  Recovery recovery;
  Rto rto;
  Rack rack;
  DelayedAck acks;
  Timestamps timestamps;
  Pmtu pmtu;
  ChallengeLimit challenges;

  Instant timer{kNever};       ///< retransmission or persist
  Instant loss_timer{kNever};  ///< before `timer`: reordering window or tail probe
  Instant idle_timer{kNever};  ///< keepalive or FIN-WAIT-2
  CoarseMs last_sent{};        ///< data
  CoarseMs last_heard{};
  CoarseMs progress{};  ///< when the oldest unacknowledged octet became the oldest

  /// Payload of a full segment: timestamps are in every one.
  [[nodiscard]] std::uint16_t payload_max() const {
    return static_cast<std::uint16_t>(pmtu.mss() - (timestamps.on ? 12 : 0));
  }
  /// What of new data leaves as one segment, at most. A device cuts by its own MTU, so larger ones are for those alone
  /// whose full segments are as large as that.
  [[nodiscard]] std::uint16_t segment_max() const {
    return device_cuts && pmtu.full() ? std::max(kLargePayloadMax, payload_max()) : payload_max();
  }
  /// Into pieces of what size blocks are queued.
  [[nodiscard]] std::uint16_t block_max() const { return std::max(segment_max(), piece_max()); }
  /// Into pieces of what size data is queued. Before the peer has told its MSS the path's: a piece that turns out too
  /// large is cut when it leaves, one that was too small stays small.
  [[nodiscard]] std::uint16_t piece_max() const {
    return state == State::syn_sent ? static_cast<std::uint16_t>(pmtu.offered() - 12) : payload_max();
  }
};
static_assert(sizeof(Endpoint) <= 384);
static_assert(kLargePayloadMax <= 2048);  // a payload block
static_assert(std::is_trivially_copyable_v<Endpoint>);

/// Recomputes every sum and relation; empty when all hold, else what is wrong.
[[nodiscard]] std::string_view audit(const Endpoint& endpoint, const Pools& pools);

}  // namespace penstock::tcp
