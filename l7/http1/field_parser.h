// field_parser.h - stage 2: field lines between marks become a FieldTable.
//
// Model     the marks say where each leading token and each line ends, so a good line costs one look at its colon, the
//           white space around its value, and its name's hash. What is wrong with a bad line is found out apart.
// Units     offsets of at most 16 bit.
// Errors    obs_fold, space_before_colon, name_*.
// Limits    fields <= kFieldMax, by HeadScan.
// Not here  what fields mean (message_rules.h).
#pragma once
#include <span>
#include <string_view>

#include "l7/http1/classify.h"
#include "l7/http1/head.h"
#include "l7/http1/reject.h"

namespace penstock::http1 {

/// `marks` has two entries for each line of `text` from offset `begin` on, without the empty line. `level` chooses a
/// build, not a result.
[[nodiscard]] RejectReason parse_fields(std::string_view text, std::size_t begin, std::span<const std::uint16_t> marks,
                                        NameRule underscore, SimdLevel level, FieldTable& out);

}  // namespace penstock::http1
