#include "l7/http1/head_scan.h"

#include <algorithm>
#include <bit>

namespace penstock::http1 {

namespace {

constexpr std::uint32_t kBlock = 64;
/// Blocks that are classified by one call. More wastes work on what stands behind a short head, fewer costs calls.
constexpr std::uint32_t kBatch = 8;

/// Appends the offsets of all bits.
[[gnu::always_inline]] inline std::uint32_t append(std::uint64_t bits, std::uint32_t begin, std::uint16_t* out) {
  std::uint16_t* const first = out;
  for (; bits != 0; bits &= bits - 1)
    *out++ = static_cast<std::uint16_t>(begin + static_cast<std::uint32_t>(std::countr_zero(bits)));
  return static_cast<std::uint32_t>(out - first);
}

}  // namespace

[[gnu::always_inline]] inline ParseStatus HeadScan::block(const HeadMasks& masks, std::uint64_t valid,
                                                          std::uint32_t& carry, Marks& marks) {
  const auto carried = [carry](Carry bit) { return std::uint64_t{(carry & bit) != 0}; };
  const std::uint64_t line_starts = masks.lf << 1 | carried(kLineStart);
  const std::uint64_t starts = line_starts | carried(kName);
  // A token that begins a line: adding its first bit carries through it and comes out behind its last octet.
  unsigned long long sum;
  const bool open = __builtin_uaddll_overflow(masks.token, masks.token & starts, &sum);
  const std::uint64_t name_ends = (sum | starts) & ~masks.token & valid;
  const std::uint64_t pair_errors = ((masks.cr << 1 | carried(kAfterCr)) ^ masks.lf) & valid;
  const std::uint64_t blank_crs = line_starts & masks.cr;
  const std::uint64_t blank = (blank_crs << 1 | carried(kBlankCr)) & masks.lf;
  const std::uint64_t errors = pair_errors | masks.control;
  const std::uint64_t structural = name_ends | masks.lf;
  if ((errors | blank) != 0) [[unlikely]]
    return stop_at({errors, pair_errors, masks.lf, blank, structural}, marks);
  mark_count_ += append(structural, committed_, marks.data() + mark_count_);
  if (mark_count_ >= 2 * limits_.lines) [[unlikely]]
    return reject(RejectReason::too_many_fields);
  const auto last = [](std::uint64_t mask, Carry bit) { return static_cast<std::uint32_t>(mask >> 63) * bit; };
  carry = last(masks.lf, kLineStart) | (open ? kName : 0u) | last(masks.cr, kAfterCr) | last(blank_crs, kBlankCr);
  return ParseStatus::more;
}

[[gnu::always_inline]] inline ParseStatus HeadScan::scan_body(std::string_view text, const Classifier& classifier,
                                                              Marks& marks) {
  const auto available = static_cast<std::uint32_t>(std::min<std::size_t>(text.size(), limits_.octets));
  while (committed_ < available) {
    std::array<HeadMasks, kBatch> masks;
    const std::uint32_t batch = std::min(available - committed_, kBlock * kBatch);
    classifier.head(text.data() + committed_, batch, masks.data());
    const std::uint32_t whole = batch / kBlock, rest = batch % kBlock;
    std::uint32_t carry = carry_;
    for (std::uint32_t i = 0; i < whole; ++i, committed_ += kBlock)
      if (const ParseStatus status = block(masks[i], ~std::uint64_t{0}, carry, marks); status != ParseStatus::more)
        return status;
    carry_ = carry;
    if (rest == 0) continue;
    // The partial block is looked at, and again when it is whole.
    const std::uint32_t marks_before = mark_count_;
    const ParseStatus status = block(masks[whole], (std::uint64_t{1} << rest) - 1, carry, marks);
    if (status != ParseStatus::more) return status;
    if (available == limits_.octets) break;
    mark_count_ = marks_before;
    return status;
  }
  return available == limits_.octets ? reject(RejectReason::head_too_large) : ParseStatus::more;
}

[[gnu::target("bmi,bmi2")]] ParseStatus HeadScan::scan_bmi(std::string_view text, const Classifier& classifier,
                                                           Marks& marks) {
  return scan_body(text, classifier, marks);
}

ParseStatus HeadScan::scan(std::string_view text, const Classifier& classifier, Marks& marks) {
  return classifier.level == SimdLevel::scalar ? scan_body(text, classifier, marks) : scan_bmi(text, classifier, marks);
}

ParseStatus HeadScan::stop_at(const Found& found, Marks& marks) {
  const std::uint64_t any = found.errors | found.blank;
  const std::uint64_t first = any & (~any + 1);
  const bool ends = (found.blank & first) != 0 && (found.errors & first) == 0;
  // The octets before the error, or up to the end of the head, still count lines.
  const std::uint64_t before = ends ? (first | (first - 1)) : first - 1;
  mark_count_ += append(found.structural & before, committed_, marks.data() + mark_count_);
  if (mark_count_ >= 2 * limits_.lines + (ends ? 1 : 0)) return reject(RejectReason::too_many_fields);
  if (ends) {
    end_ = committed_ + static_cast<std::uint32_t>(std::countr_zero(first)) + 1;
    return ParseStatus::complete;
  }
  if ((found.pair_errors & first) == 0) return reject(RejectReason::control_octet);
  return reject((found.lf & first) != 0 ? RejectReason::bare_lf : RejectReason::bare_cr);
}

}  // namespace penstock::http1
