// output_queue.h - what a leg has still to send, in order: own text, and ranges of the other direction.
//
// Model     heads and chunk framing are text that we made: copied into a small ring. Bodies are ranges: only their
//           place is stored. The sender takes pieces from the front, as much as the peer's window allows.
//
//             push(text) --> [ text 311 ][ range 4000+1448 ][ text "\r\n" ] --> front(), sent(n)
//
// Units     octets; queued() counts text and ranges.
// Shape     memory is lent: `pieces` bounds the number of pieces, `ring` the octets of text.
// Errors    push() is false when it does not fit, and nothing was queued; the caller pauses its source and tries again.
// Limits    both spans; the watermark is update()d by the caller with queued().
// Not here  the octets of ranges, and when to send.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

#include "l7/stream/slice.h"

namespace penstock::stream {

struct OutputPiece {
  bool is_text{};  ///< else `range` is meant
  Range range{};   ///< text: its place in the stream of own text
};

class OutputQueue {
 public:
  OutputQueue(std::span<OutputPiece> pieces, std::span<char> ring) : pieces_{pieces}, ring_{ring} {}

  [[nodiscard]] bool push(std::string_view text);
  [[nodiscard]] bool push(Range range);

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] std::uint64_t queued() const { return queued_; }
  /// The first piece. text() gives its octets when is_text; the ring may cut them, so it can be shorter than the piece.
  [[nodiscard]] const OutputPiece& front() const { return pieces_[first_]; }
  [[nodiscard]] std::string_view text() const;
  /// The first `octets` of the front piece have been taken.
  void sent(std::uint64_t octets);

 private:
  [[nodiscard]] OutputPiece& back() { return pieces_[(first_ + count_ - 1) % pieces_.size()]; }
  [[nodiscard]] bool append(OutputPiece piece);

  std::span<OutputPiece> pieces_;
  std::span<char> ring_;
  std::size_t first_{}, count_{};
  std::uint64_t queued_{};
  Position text_begin_{}, text_end_{};  // of the stream of own text; place in the ring = position modulo its size
};

}  // namespace penstock::stream
