// head_scan.h - where lines and names end, and where the head ends; resumable.
//
// Model     Marks are the offsets that stage 2 works with, two per line: where the leading token ends (the colon of a
//           field line, the space behind a method) and the LF. Blocks of 64 become masks (classify.h); an addition
//           runs through the token octets behind each line start at once, and its carry is where the name ends.
//
//             octets     Host: a CRLF Via: b CRLF
//             starts     x            x
//             token      xxxx  x      xxx  x
//             sum ends       x           x          marks: 4 8  13 17
//
//           Whole blocks are committed; the last, partial one is looked at again when more octets are there.
// Units     offsets in octets from the start of the scanned text.
// Shape     the marks are lent: per worker or per connection with an open head.
// Errors    control octets, CR and LF that are no pair, too many lines, too many octets. The error at the lowest
//           offset wins, so the answer does not depend on how the octets arrived.
// Limits    octets <= kHeadOctetsMax; lines by the caller.
// Not here  what a line means (request_parser.h, field_parser.h).
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "l7/http1/classify.h"
#include "l7/http1/policy.h"
#include "l7/http1/reject.h"

namespace penstock::http1 {

enum class ParseStatus : std::uint8_t { more, complete, rejected };

/// Two marks per line; 64 more because a block is written before its lines are counted.
inline constexpr std::size_t kMarkMax = 2 * (kFieldMax + 2);
using Marks = std::array<std::uint16_t, kMarkMax + 64>;

class HeadScan {
 public:
  struct Limits {
    std::uint32_t octets;
    std::uint32_t lines;  ///< including the empty one that ends the head
  };
  explicit HeadScan(Limits limits) : limits_{limits} {}

  /// `text` begins where the head begins and holds all of it that has come. Call again with more after `more`.
  [[nodiscard]] ParseStatus scan(std::string_view text, const Classifier& classifier, Marks& marks);

  /// After `complete`: octets up to and with the empty line, and lines without it.
  [[nodiscard]] std::uint32_t head_octets() const { return end_; }
  [[nodiscard]] std::uint32_t lines() const { return mark_count_ / 2 - 1; }
  [[nodiscard]] RejectReason reason() const { return reason_; }
  /// True while no line has ended yet: the head limit was hit by the start line alone.
  [[nodiscard]] bool in_first_line() const { return mark_count_ < 2; }

 private:
  /// What a block must know about the one before it, one bit each, so that it stays in a register.
  enum Carry : std::uint32_t {
    kLineStart = 1,  ///< the first octet begins a line
    kName = 2,       ///< it continues a token that began a line
    kAfterCr = 4,    ///< a CR was last
    kBlankCr = 8,    ///< and it began its line
  };
  /// What a block says about where the scan stops.
  struct Found {
    std::uint64_t errors, pair_errors, lf, blank, structural;
  };
  // The same body twice: plain, and for processors with BMI2, which every vector level has.
  [[nodiscard]] ParseStatus scan_body(std::string_view text, const Classifier& classifier, Marks& marks);
  [[nodiscard]] ParseStatus scan_bmi(std::string_view text, const Classifier& classifier, Marks& marks);
  [[nodiscard]] ParseStatus block(const HeadMasks& masks, std::uint64_t valid, std::uint32_t& carry, Marks& marks);
  [[nodiscard]] ParseStatus stop_at(const Found& found, Marks& marks);
  [[nodiscard]] ParseStatus reject(RejectReason reason) {
    reason_ = reason;
    return ParseStatus::rejected;
  }

  Limits limits_;
  std::uint32_t carry_{kLineStart};
  std::uint32_t committed_{};  // octets in whole blocks
  std::uint32_t mark_count_{};
  std::uint32_t end_{};
  RejectReason reason_{};
};

}  // namespace penstock::http1
