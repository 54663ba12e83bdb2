// send_queue.h - what the application wrote and the peer has not acknowledged, piece by piece.
//
// Model     a list of entries in sequence order; [una, nxt) has been sent, [nxt, end) waits. SYN and FIN are entries
//           or flags of entries, so loss, timeout and acknowledgement treat them like data. Marks per entry (RFC 6675
//           s3): sacked, lost, retransmitted. The sums of the marks are kept, and audit() recomputes them.
// Units     octets of sequence space, unless "payload" is said.
// Shape     56 octets; entries and payload blocks live in Pools. Bytes are copied in once, or shared (append_block);
//           retransmission reads them.
// Errors    no memory: append takes fewer octets, split says no. FIN always fits: its entry is reserved at the start.
#pragma once
#include <string_view>

#include "dataplane/tcp/options.h"
#include "dataplane/tcp/pool.h"

namespace penstock::tcp {

/// What an acknowledgement, cumulative or selective, says about the path.
struct Delivered {
  std::uint32_t octets{};        ///< newly delivered, by either kind
  std::uint32_t acked_octets{};  ///< of those, cumulatively acknowledged sequence space
  bool has_sample{};             ///< oldest entry acknowledged now, if nothing acknowledged now was sent twice
  Stamp sample_sent{};
  bool any_retransmitted{};  ///< something acknowledged cumulatively had been sent more than once
  bool newest_valid{};       ///< the entry sent last among the delivered (RFC 8985 s6.2)
  bool newest_retransmitted{};
  Stamp newest_sent{};
  SeqNum newest_end{};
  bool has_first_send{};           ///< something delivered had been sent once only
  SeqNum lowest_first_send{};      ///< the lowest end of those
  SeqNum highest_end{};            ///< of everything delivered
  std::uint16_t largest_octets{};  ///< payload of the largest segment delivered
  bool fin_acked{};
};

class SendQueue {
 public:
  /// Takes the reserved entry; false when the pool is empty.
  [[nodiscard]] bool open(Pools& pools, SeqNum first);
  void release_all(Pools& pools);

  // Application.
  /// Octets taken, at most `bytes.size()`: limited by the budget, the entry limit and the pools.
  std::size_t append(Pools& pools, ByteView bytes, std::uint32_t payload_max, std::uint32_t budget,
                     std::uint16_t entries_max);
  /// The same for a part of a block, which is shared, not copied; all of it or, when false, nothing.
  [[nodiscard]] bool append_block(Pools& pools, Index block, std::uint16_t offset, std::uint16_t octets,
                                  std::uint32_t payload_max, std::uint32_t budget, std::uint16_t entries_max);
  /// Replaces lent blocks by copies, the oldest first, until `octets_max` were copied; returns octets copied.
  std::uint32_t copy_out_lent(Pools& pools, std::uint32_t octets_max);
  [[nodiscard]] bool append_syn(Pools& pools);
  void append_fin(Pools& pools);

  // Acknowledgement. `ack` is in (una, nxt].
  void acknowledge(Pools& pools, SeqNum ack, Delivered& into);
  /// Marks entries that lie wholly inside; returns newly marked octets.
  std::uint32_t mark_sacked(Pools& pools, SackBlock block, Delivered& into);

  // Marks.
  void mark_lost(Pools& pools, Index index);
  void mark_all_lost(Pools& pools);
  void clear_sacked(Pools& pools);
  /// The retransmission is believed lost too: it is to be sent again.
  void forget_retransmission(Pools& pools, Index index);

  // Transmission.
  [[nodiscard]] Index head() const { return head_; }
  [[nodiscard]] Index first_unsent() const { return unsent_; }
  /// First entry that is lost and not yet retransmitted; kNoIndex if none.
  [[nodiscard]] Index first_unrepaired(const Pools& pools);
  /// Last entry sent; kNoIndex if nothing is in flight.
  [[nodiscard]] Index last_sent() const { return last_sent_; }
  /// First entry without any mark below what was selectively acknowledged; kNoIndex if none.
  [[nodiscard]] Index first_doubtful(Pools& pools);
  /// Last entry in flight that was not selectively acknowledged; kNoIndex if none.
  [[nodiscard]] Index last_unsacked(Pools& pools);
  /// The entry behind `index`, or behind the run of sacked entries that begins there. Runs are remembered, so that a
  /// walk over what is in flight takes a step per hole and run, not per segment.
  [[nodiscard]] Index past_run(Pools& pools, Index index);
  /// Cuts after `octets` of payload; the rest, and a FIN, become the next entry. False when the pool is empty.
  [[nodiscard]] bool split(Pools& pools, Index index, std::uint16_t octets);
  void sent(Pools& pools, Index index, Stamp now);

  [[nodiscard]] std::uint16_t entries() const { return entries_; }
  [[nodiscard]] SeqNum una() const { return una_; }
  [[nodiscard]] SeqNum nxt() const { return nxt_; }
  [[nodiscard]] SeqNum end() const { return end_; }
  [[nodiscard]] std::uint32_t flight() const { return nxt_.since(una_).octets; }
  [[nodiscard]] std::uint32_t unsent_span() const { return end_.since(nxt_).octets; }
  [[nodiscard]] std::uint32_t sacked() const { return sacked_; }
  /// Nothing in flight was selectively acknowledged, lost or sent again.
  [[nodiscard]] bool unmarked() const { return (sacked_ | lost_ | retransmitted_) == 0; }
  /// Changes whenever something was found lost, also again.
  [[nodiscard]] std::uint16_t loss_marks() const { return loss_marks_; }
  [[nodiscard]] std::uint32_t lost() const { return lost_; }
  [[nodiscard]] std::uint32_t unrepaired() const { return unrepaired_; }
  /// RFC 6675 SetPipe(): octets believed to be in the network.
  [[nodiscard]] std::uint32_t pipe() const { return flight() - sacked_ - lost_ + retransmitted_; }
  /// Recomputes every sum; empty when they agree, else what is wrong.
  [[nodiscard]] std::string_view audit(const Pools& pools) const;

 private:
  void link_tail(Pools& pools, Index index);
  void append_entry(Pools& pools, Index block, std::uint16_t offset, std::uint16_t octets);
  std::size_t grow_tail(Pools& pools, ByteView bytes, std::uint32_t payload_max);
  std::size_t append_piece(Pools& pools, ByteView bytes, std::uint32_t payload_max);
  [[nodiscard]] std::string_view audit_hints(const Pools& pools) const;
  Index run_end(Pools& pools, Index index);
  void look_again_from(const Pools& pools, Index index);
  void drop_marks(Entry& entry);
  void note_delivery(const Entry& entry, Delivered& into) const;
  void trim_head(Pools& pools, SeqNum ack, Delivered& into);

  Index head_{kNoIndex};
  Index tail_{kNoIndex};
  Index unsent_{kNoIndex};
  Index reserved_{kNoIndex};
  Index last_sent_{kNoIndex};
  Index repair_from_{kNoIndex};  ///< no entry before it is lost and not retransmitted
  SeqNum una_;
  SeqNum nxt_;
  SeqNum end_;
  std::uint32_t sacked_{};
  std::uint32_t lost_{};
  std::uint32_t retransmitted_{};
  std::uint32_t unrepaired_{};  ///< lost and not retransmitted
  std::uint16_t entries_{};
  std::uint16_t loss_marks_{};
};
static_assert(sizeof(SendQueue) == 56);

}  // namespace penstock::tcp
