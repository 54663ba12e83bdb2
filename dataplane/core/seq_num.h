// seq_num.h - TCP sequence numbers and the distances between them.
//
// Model     32-bit numbers that wrap (RFC 9293 s3.4). Order exists only between numbers less than 2^31 apart, so
//           there is precedes() and no `<`: a comparison that forgets the wrap does not compile.
// Units     octets of sequence space; SYN and FIN count one each.
// Errors    none.
#pragma once
#include <compare>
#include <cstdint>

namespace penstock {

/// A length in sequence space.
struct SeqSpan {
  std::uint32_t octets{};
  friend constexpr auto operator<=>(SeqSpan, SeqSpan) = default;
  friend constexpr SeqSpan operator+(SeqSpan a, SeqSpan b) { return {a.octets + b.octets}; }
};

class SeqNum {
 public:
  constexpr SeqNum() = default;
  explicit constexpr SeqNum(std::uint32_t value) : value_{value} {}
  [[nodiscard]] constexpr std::uint32_t value() const { return value_; }

  /// Strictly before `other`.
  [[nodiscard]] constexpr bool precedes(SeqNum other) const {
    return static_cast<std::int32_t>(value_ - other.value_) < 0;
  }
  /// Before `other` or the same.
  [[nodiscard]] constexpr bool at_most(SeqNum other) const { return !other.precedes(*this); }
  /// Octets from `earlier` to this; the caller knows that `earlier` is at most this.
  [[nodiscard]] constexpr SeqSpan since(SeqNum earlier) const { return {value_ - earlier.value_}; }

  friend constexpr SeqNum operator+(SeqNum a, SeqSpan b) { return SeqNum{a.value_ + b.octets}; }
  friend constexpr SeqNum operator-(SeqNum a, SeqSpan b) { return SeqNum{a.value_ - b.octets}; }
  constexpr SeqNum& operator+=(SeqSpan b) { return *this = *this + b; }
  friend constexpr bool operator==(SeqNum, SeqNum) = default;

 private:
  std::uint32_t value_{};
};

/// The later of two.
[[nodiscard]] constexpr SeqNum later_of(SeqNum a, SeqNum b) { return a.precedes(b) ? b : a; }
/// The earlier of two.
[[nodiscard]] constexpr SeqNum earlier_of(SeqNum a, SeqNum b) { return b.precedes(a) ? b : a; }

}  // namespace penstock
