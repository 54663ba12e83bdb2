// engine.h - TCP as a function: a segment and the time in, segments, data and a deadline out (RFC 9293).
//
// Model     one Engine per worker, any number of Endpoints. Nothing is sent from inside: whatever happened, the
//           caller then calls transmit() until it says no, and looks at deadline(). So a full device ring only delays.
//
//               receive(segment) --+                      +--> transmit() ... transmit() -> false
//               expire()           +--> Endpoint changes -+
//               write/consume/...  +                      +--> deadline()
//
// Time      handed in; nothing here reads a clock. Randomness: the Secrets, handed in.
// Memory    Pools, made before; no allocation afterwards. An Endpoint belongs to the caller. Payload is copied in on
//           write() and when it arrives out of order, shared on write_block(); in order it is handed on in place.
// Errors    the peer's faults are counted (Counters), ours break an invariant. No memory: less is taken, or a segment
//           is not kept, as if the network had lost it.
// Not here  finding the Endpoint for a segment, TIME-WAIT tables (timewait.h holds a record), listening.
#pragma once
#include <optional>

#include "dataplane/tcp/connection_info.h"
#include "dataplane/tcp/cookies.h"
#include "dataplane/tcp/endpoint.h"
#include "dataplane/tcp/isn.h"
#include "dataplane/tcp/segment.h"
#include "dataplane/tcp/timewait.h"

namespace penstock::tcp {

/// What happened to a connection; a set.
struct Events {
  std::uint16_t bits{};
  static constexpr std::uint16_t kConnected = 1;     ///< handshake complete
  static constexpr std::uint16_t kPeerClosed = 2;    ///< the peer's stream has ended, everything was delivered
  static constexpr std::uint16_t kAcked = 4;         ///< room in the send budget
  static constexpr std::uint16_t kReset = 8;         ///< by the peer
  static constexpr std::uint16_t kTimedOut = 16;     ///< no answer
  static constexpr std::uint16_t kAborted = 32;      ///< by us: data for a reader that had closed
  static constexpr std::uint16_t kTimeWait = 64;     ///< orderly end: take time_wait() once transmit() says no
  static constexpr std::uint16_t kClosed = 128;      ///< the endpoint is free once transmit() says no
  static constexpr std::uint16_t kResetReply = 256;  ///< answer this segment with reset_for()
  [[nodiscard]] bool has(std::uint16_t bit) const { return (bits & bit) != 0; }
  void add(std::uint16_t bit) { bits = static_cast<std::uint16_t>(bits | bit); }
};

struct Counters {
  std::uint64_t segments_in{}, segments_out{}, retransmitted{}, timeouts{}, recoveries{}, window_probes{},
      needless_reductions{}, tail_probes{}, keepalive_probes{}, challenge_acks{}, challenge_acks_limited{},
      not_acceptable{}, paws_rejected{}, timestamp_missing{}, ack_invalid{}, sack_invalid{}, options_malformed{},
      out_of_order{}, not_stored{}, duplicates{}, path_mtu_shrunk{}, black_holes{};
  std::uint64_t predicted{};  ///< segments in that took the short way
};

/// Receives in-order payload during Engine::receive(). It must not call the engine for that same endpoint, but may
/// write to others; it must keep what it wants, and report it by consume() when it is done with it.
class Delivery {
 public:
  virtual void deliver(const Piece& piece) = 0;

 protected:
  ~Delivery() = default;
};

class Engine {
 public:
  Engine(const Limits& limits, const Secrets& secrets, Pools& pools);

  // Opening. False when the pools are empty; the endpoint is closed then. `window`: what is offered at most, until
  // set_window_limit() says otherwise.
  [[nodiscard]] bool connect(Endpoint& ep, const ConnectionKey& key, std::uint16_t mtu, Instant now,
                             std::uint32_t window = kNoWindowLimit);
  /// For a segment of which opens_connection() is true.
  [[nodiscard]] bool accept(Endpoint& ep, const ConnectionKey& key, std::uint16_t mtu, const SegmentIn& syn,
                            Instant now, std::uint32_t window = kNoWindowLimit);
  /// For an ACK that check_cookie() granted; call receive() with the same segment afterwards.
  [[nodiscard]] bool accept_cookie(Endpoint& ep, const ConnectionKey& key, std::uint16_t mtu, const CookieGrant& grant,
                                   const SegmentIn& ack, Instant now);

  // Network.
  Events receive(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery);
  /// Call at or after deadline().
  Events expire(Endpoint& ep, Instant now);
  /// The next segment to send; false when there is none. Its payload is valid until the next call.
  [[nodiscard]] bool transmit(Endpoint& ep, Instant now, SegmentOut& out);
  /// A too-big message that quotes `quoted` of this connection. True when segments shrank.
  bool path_too_big(Endpoint& ep, std::uint16_t mtu, SeqNum quoted);
  [[nodiscard]] static Instant deadline(const Endpoint& ep);
  /// False: transmit() would say no and change nothing. True: it may have something.
  [[nodiscard]] static bool wants_transmit(const Endpoint& ep);
  /// Asks for the endpoint's memory ahead of receive() or transmit().
  static void prefetch(const Endpoint& ep);

  // Application.
  /// Octets taken; the rest is for later (Events::kAcked).
  std::size_t write(Endpoint& ep, ByteView bytes);
  /// Queues [offset, offset + octets) of a block of either kind by reference; true: all of it, false: nothing (budget,
  /// entries, pools). The caller's reference stays the caller's.
  [[nodiscard]] bool write_block(Endpoint& ep, Index block, std::uint16_t offset, std::uint16_t octets);
  [[nodiscard]] std::size_t writable(const Endpoint& ep) const;
  /// Segments that the send queue still takes, whatever they hold.
  [[nodiscard]] std::uint32_t segments_writable(const Endpoint& ep) const;
  /// Payload octets queued or unacknowledged; SYN and FIN are not counted.
  [[nodiscard]] std::uint32_t outstanding(const Endpoint& ep) const;
  /// Replaces lent blocks in the send queue by copies, the oldest first, until `octets_max` were copied or the block
  /// pool is empty; returns octets copied.
  std::uint32_t unlend(Endpoint& ep, std::uint32_t octets_max);
  void consume(Endpoint& ep, std::uint32_t octets);
  /// Acknowledgement and window may wait until `at`: a message of ours is likely to leave before.
  void postpone_ack(Endpoint& ep, Instant at) {
    if (!ep.has_dsack) ep.acks.postpone(at);
  }
  /// What was promised to the peer stays promised; a larger budget is told at once when it is worth a segment.
  void set_receive_budget(Endpoint& ep, std::uint32_t octets);
  /// Bounds what the peer may have under way, whatever was consumed; a larger one is told at once likewise.
  void set_window_limit(Endpoint& ep, std::uint32_t octets);
  void set_send_budget(Endpoint& ep, std::uint32_t octets);
  /// No more will be written; what was written is still delivered.
  void shutdown(Endpoint& ep);
  /// Neither written nor read any more. With unread data this is abort() (RFC 9293 s3.6.1).
  Events close(Endpoint& ep, Instant now);
  /// Resets the connection.
  Events abort(Endpoint& ep);

  /// The record of a connection in State::time_wait; the endpoint is closed by this.
  [[nodiscard]] TimeWait take_time_wait(Endpoint& ep, Instant now);

  /// New limits, for what begins after this and for every decision from now on.
  void configure(const Limits& limits);

  [[nodiscard]] ConnectionInfo info(const Endpoint& ep) const;
  [[nodiscard]] const Counters& counters() const { return counters_; }
  [[nodiscard]] const Limits& limits() const { return limits_; }
  [[nodiscard]] Pools& pools() { return pools_; }

 private:
  // engine.cpp
  void open(Endpoint& ep, const ConnectionKey& key, std::uint16_t mtu, Instant now, std::uint32_t window);
  void take_syn_options(Endpoint& ep, const SegmentIn& syn, Instant now);
  void established(Endpoint& ep, Instant now, Events& events);
  void finish(Endpoint& ep, Events& events, std::uint16_t why);
  void reset(Endpoint& ep, Events& events, std::uint16_t why);
  void move(Endpoint& ep, CloseEvent event, Events& events);
  static void announce_window(Endpoint& ep);

  // engine_receive.cpp
  void receive_syn_sent(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery, Events& events);
  void receive_synchronized(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery, Events& events);
  [[nodiscard]] bool passes_timestamps(Endpoint& ep, const SegmentIn& segment, Instant now);
  void take_timestamp(Endpoint& ep, const SegmentIn& segment, Instant now);
  void reject(Endpoint& ep, const SegmentIn& segment, Instant now);
  void note_duplicate(Endpoint& ep, SackBlock range);
  void challenge(Endpoint& ep, Instant now);
  void receive_payload(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery, Events& events);
  void deliver(Endpoint& ep, const Piece& piece, Delivery& delivery);
  void receive_out_of_order(Endpoint& ep, SeqNum seq, ByteView payload);

  // engine_predict.cpp
  [[nodiscard]] static bool undisturbed(const Endpoint& ep);
  /// True: the segment was one of the common ones, and is done. False: nothing has changed.
  [[nodiscard]] bool receive_predicted(Endpoint& ep, const SegmentIn& segment, Instant now, Delivery& delivery,
                                       Events& events);
  void acknowledge_predicted(Endpoint& ep, const SegmentIn& segment, Instant now, Events& events);

  // engine_ack.cpp
  [[nodiscard]] bool acknowledge(Endpoint& ep, const SegmentIn& segment, Instant now, Events& events);
  /// New data was acknowledged: timers and give-up counts start again.
  void advance(Endpoint& ep, const Delivered& delivered, Instant now, Events& events);
  /// Losses by time, needless reductions, answers to tail probes.
  void learn_from_sack(Endpoint& ep, const SegmentIn& segment, const Delivered& delivered, std::uint32_t flight_before,
                       Instant now);
  std::uint32_t apply_sack(Endpoint& ep, const SegmentIn& segment, Delivered& delivered);
  /// Microseconds of an unambiguous sample; zero: none.
  std::uint32_t sample_round_trip(Endpoint& ep, const SegmentIn& segment, const Delivered& delivered, Instant now);
  void window_changed(Endpoint& ep, Instant now);

  // engine_timer.cpp
  void arm(Endpoint& ep, TimerKind kind, Duration after, Instant now);
  void arm_retransmit(Endpoint& ep, Instant now);
  [[nodiscard]] Duration handshake_timeout(const Endpoint& ep) const;
  void disarm(Endpoint& ep);
  void arm_loss(Endpoint& ep, LossTimer kind, Duration after, Instant now);
  void arm_tail_probe(Endpoint& ep, Instant now);
  void on_loss_timer(Endpoint& ep, Instant now);
  void detect_loss(Endpoint& ep, Instant now);
  void settle(Endpoint& ep, Instant now);
  void arm_idle(Endpoint& ep, Instant now);
  void on_retransmit_timer(Endpoint& ep, Instant now, Events& events);
  void on_persist_timer(Endpoint& ep, Instant now, Events& events);
  [[nodiscard]] std::uint16_t small_mss(const Endpoint& ep) const {
    return ep.pmtu.v4() ? limits_.blackhole_mss_v4 : limits_.blackhole_mss_v6;
  }
  void on_idle_timer(Endpoint& ep, Instant now, Events& events);
  [[nodiscard]] bool user_timeout_passed(const Endpoint& ep, Instant now) const;

  // engine_transmit.cpp
  [[nodiscard]] bool transmit_reset(Endpoint& ep, Instant now, SegmentOut& out);
  [[nodiscard]] bool transmit_handshake(Endpoint& ep, Instant now, SegmentOut& out);
  [[nodiscard]] bool transmit_lost(Endpoint& ep, Instant now, SegmentOut& out);
  [[nodiscard]] bool transmit_doubtful(Endpoint& ep, Instant now, SegmentOut& out);
  [[nodiscard]] bool transmit_tail_probe(Endpoint& ep, Instant now, SegmentOut& out);
  [[nodiscard]] bool transmit_new(Endpoint& ep, Instant now, SegmentOut& out);
  void transmit_ack(Endpoint& ep, Instant now, SegmentOut& out);
  void count_retransmission(Endpoint& ep);
  void transmit_probe(Endpoint& ep, Instant now, SegmentOut& out);
  [[nodiscard]] bool cut_to_segment(Endpoint& ep, Index& index, bool end);
  /// Of an entry with more than `octets_max` its front leaves.
  void emit(Endpoint& ep, Index index, std::uint32_t octets_max, Instant now, SegmentOut& out);
  void fill_common(Endpoint& ep, Instant now, SegmentOut& out, bool with_sack);

  Limits limits_;
  Secrets secrets_;
  Pools& pools_;
  Counters counters_;
};

}  // namespace penstock::tcp
