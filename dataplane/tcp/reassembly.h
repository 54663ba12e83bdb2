// reassembly.h - payload that arrived ahead of a gap, where the stream ends, and the SACK blocks that report it.
//
// Model     a list of disjoint pieces in sequence order, all beyond rcv_nxt. What came first wins where segments
//           overlap. The first FIN fixes the end of the stream; payload beyond it is ignored. Held data is never given
//           up (no reneging, RFC 2018 s8): what does not fit is not stored and so never reported.
// Units     octets; a piece lies in one block.
// Shape     44 octets; pieces live in Pools.
// Errors    no memory or too many pieces: the rest of the segment is not stored, the caller counts.
#pragma once
#include <array>
#include <string_view>

#include "dataplane/tcp/options.h"
#include "dataplane/tcp/pool.h"

namespace penstock::tcp {

struct Stored {
  bool complete{true};     ///< everything new of the segment is held now
  bool duplicate{};        ///< some of it was held before
  SackBlock duplicate_of;  ///< the first such range, whole, for DSACK (RFC 2883 s4)
};

/// In-order payload as it is handed on. `block` is set when it lies in a block already, which may be shared.
struct Piece {
  ByteView bytes;
  Index block{kNoIndex};
  std::uint16_t offset{};
};

class Reassembly {
 public:
  /// The peer's stream ends at `position` (its FIN's sequence number). Only the first call counts.
  void note_fin(SeqNum position);
  [[nodiscard]] bool fin_known() const { return fin_known_; }
  [[nodiscard]] SeqNum fin_position() const { return fin_position_; }
  /// Octets of the stream from `seq` on that lie before the FIN; without limit while it is not known.
  [[nodiscard]] std::uint32_t octets_to_fin(SeqNum seq) const {
    if (!fin_known_) return 0xffffffff;
    return seq.precedes(fin_position_) ? fin_position_.since(seq).octets : 0;
  }

  /// Stores what is new of [seq, seq + payload), all of which lies beyond rcv_nxt, and reports the range around it.
  /// Empty payload: only the range around `seq` (a FIN) is reported.
  Stored insert(Pools& pools, SeqNum seq, ByteView payload, std::uint16_t pieces_max);

  /// The first range held within [from, to), for DSACK; empty if none.
  [[nodiscard]] SackBlock held_within(const Pools& pools, SeqNum from, SeqNum to) const;
  /// The next piece, without what lies before `rcv_nxt`; false if it begins later. pop() afterwards.
  [[nodiscard]] bool front(const Pools& pools, SeqNum rcv_nxt, Piece& into) const;
  void pop(Pools& pools);
  void release_all(Pools& pools);
  /// Forgets reported ranges up to `rcv_nxt`.
  void advanced_to(const Pools& pools, SeqNum rcv_nxt);

  /// Most recent range first (RFC 2018 s4).
  [[nodiscard]] std::uint8_t range_count() const { return range_count_; }
  [[nodiscard]] SackBlock range(std::size_t i) const { return ranges_[i]; }
  /// Nothing is held or reported, and no end is known: a segment in order has nothing to do here.
  [[nodiscard]] bool untouched() const { return head_ == kNoIndex && range_count_ == 0 && !fin_known_; }
  [[nodiscard]] bool empty() const { return head_ == kNoIndex; }
  [[nodiscard]] std::uint16_t pieces() const { return pieces_; }
  [[nodiscard]] std::string_view audit(const Pools& pools, SeqNum rcv_nxt) const;

 private:
  /// Stores `payload` at `seq` behind piece `after`, which becomes the last one stored; false when memory is short.
  bool store(Pools& pools, Index& after, SeqNum seq, ByteView payload, std::uint16_t pieces_max);
  bool grow(Pools& pools, Index after, SeqNum seq, ByteView payload);
  bool add(Pools& pools, Index& after, SeqNum seq, ByteView payload);
  void report_around(const Pools& pools, SeqNum seq, bool fin_only);
  void report(SackBlock range);
  /// Ranges that once found no room are told again when there is some, behind the recent ones (RFC 2018 s4).
  void refill(const Pools& pools);
  bool tell(SackBlock run);

  Index head_{kNoIndex};
  std::uint16_t pieces_{};
  std::uint8_t range_count_{};
  bool fin_known_ : 1 {};
  bool untold_ : 1 {};  ///< some range held is not among ranges_
  SeqNum fin_position_;
  std::array<SackBlock, kSackBlocksMax> ranges_{};
};
static_assert(sizeof(Reassembly) == 44);

}  // namespace penstock::tcp
