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

}  // namespace

RejectReason parse_fields(std::string_view text, std::size_t begin, std::span<const std::uint16_t> marks,
                          NameRule underscore, FieldTable& out) {
  const char* const base = text.data();
  const std::size_t count = marks.size() / 2;
  std::uint64_t seen = 0, repeated = 0;
  Field* field = out.fields.data();
  for (std::size_t i = 0; i < count; ++i, ++field) {
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
    std::size_t value = name_end + 1, value_end = lf - 1;  // the CR
    while (is_space(base[value])) ++value;                 // ends at the CR at the latest
    while (value_end > value && is_space(base[value_end - 1])) --value_end;

    const KnownField known = known_field(base + begin, name_end - begin, text.size() - begin);
    const auto index = static_cast<std::size_t>(known);
    const std::uint64_t again = seen & bit(known);
    out.first[index] = again != 0 ? out.first[index] : static_cast<std::uint8_t>(i);
    repeated |= again;
    seen |= bit(known);
    *field = {.name = {static_cast<std::uint16_t>(begin), static_cast<std::uint16_t>(name_end - begin)},
              .value = {static_cast<std::uint16_t>(value), static_cast<std::uint16_t>(value_end - value)},
              .known = known,
              .use = static_cast<std::uint8_t>(use_of(known) | dropped)};
    begin = lf + 1;
  }
  out.count = static_cast<std::uint32_t>(count);
  out.seen = seen & ~bit(KnownField::unknown);
  out.repeated = repeated & ~bit(KnownField::unknown);
  return RejectReason::none;
}

}  // namespace penstock::http1
