#include "l7/http1/field_parser.h"

#include "l7/http1/chars.h"

namespace penstock::http1 {

namespace {

/// A line whose leading token is not followed by a colon: names what is wrong with it, or none when the token only
/// stopped at an underscore; `name_end` is then the place of the colon.
RejectReason examine(std::string_view line, std::size_t& name_end, NameRule underscore) {
  if (is_space(line[0])) return RejectReason::obs_fold;
  if (line[0] == ':') return RejectReason::name_empty;
  std::size_t end = 0;
  while (is(line[end], kTokenChar)) ++end;  // ends at the CR at the latest
  if (line[end] == ':') {
    if (underscore == NameRule::reject) return RejectReason::name_underscore;
    name_end = end;
    return RejectReason::none;
  }
  std::size_t after = end;
  while (is_space(line[after])) ++after;
  return after > end && line[after] == ':' ? RejectReason::space_before_colon : RejectReason::name_malformed;
}

/// Octets of a value that is not simply one space behind the colon and none at its end.
struct Value {
  std::size_t begin, end;
};
[[gnu::noinline]] Value trimmed_value(const char* base, std::size_t begin, std::size_t end) {
  while (is_space(base[begin])) ++begin;  // ends at the CR at the latest
  while (end > begin && is_space(base[end - 1])) --end;
  return {begin, end};
}

/// Index of the first field of each repeated name; the loop below left that of the last.
void find_first(FieldTable& out) {
  for (std::uint32_t i = out.count; i-- > 0;)
    out.first[static_cast<std::size_t>(out.fields[i].known)] = static_cast<std::uint8_t>(i);
}

[[gnu::always_inline]] inline RejectReason parse_body(std::string_view text, std::size_t begin,
                                                      std::span<const std::uint16_t> marks, NameRule underscore,
                                                      FieldTable& out) {
  const char* const base = text.data();
  const std::size_t count = marks.size() / 2;
  std::uint64_t seen = 0, repeated = 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::size_t name_end = marks[2 * i];
    const std::size_t lf = marks[2 * i + 1];
    std::uint8_t dropped = 0;
    if (base[name_end] != ':' || name_end == begin) [[unlikely]] {
      std::size_t in_line = 0;
      const RejectReason reason = examine(text.substr(begin, lf - begin), in_line, underscore);
      if (reason != RejectReason::none) return reason;
      name_end = begin + in_line;
      if (underscore == NameRule::drop) dropped = kDropped;
    }
    Value value{name_end + 2, lf - 1};
    const auto above_space = [base](std::size_t at) { return static_cast<unsigned char>(base[at]) > ' '; };
    if (base[name_end + 1] != ' ' || !above_space(name_end + 2) || !above_space(lf - 2)) [[unlikely]]
      value = trimmed_value(base, name_end + 1, lf - 1);

    const KnownField known = known_field(base + begin, name_end - begin, text.size() - begin);
    repeated |= seen & bit(known);
    seen |= bit(known);
    out.first[static_cast<std::size_t>(known)] = static_cast<std::uint8_t>(i);
    out.fields[i] = {
        .name = {static_cast<std::uint16_t>(begin), static_cast<std::uint16_t>(name_end - begin)},
        .value = {static_cast<std::uint16_t>(value.begin), static_cast<std::uint16_t>(value.end - value.begin)},
        .known = known,
        .use = static_cast<std::uint8_t>(use_of(known) | dropped)};
    begin = lf + 1;
  }
  out.count = static_cast<std::uint32_t>(count);
  out.seen = seen & ~bit(KnownField::unknown);
  out.repeated = repeated & ~bit(KnownField::unknown);
  if (out.repeated != 0) find_first(out);
  return RejectReason::none;
}

[[gnu::target("bmi,bmi2,avx2")]] RejectReason parse_avx2(std::string_view text, std::size_t begin,
                                                         std::span<const std::uint16_t> marks, NameRule underscore,
                                                         FieldTable& out) {
  return parse_body(text, begin, marks, underscore, out);
}

}  // namespace

RejectReason parse_fields(std::string_view text, std::size_t begin, std::span<const std::uint16_t> marks,
                          NameRule underscore, SimdLevel level, FieldTable& out) {
  return level == SimdLevel::scalar ? parse_body(text, begin, marks, underscore, out)
                                    : parse_avx2(text, begin, marks, underscore, out);
}

}  // namespace penstock::http1
