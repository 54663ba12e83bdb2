// header_edit.h - header lines added, set and removed by a route.
//
// Model     a list of lines in, a list of lines out; names and values are views into the message or the table, so no
//           octet is copied. Removals come first, then edits in declared order; lines that stay keep their order.
// Units     lines.
// Errors    nullopt when `out` is too short for the result.
// Limits    kHeaderEditMax edits per route and direction.
// Not here  what a codec must never lose (Host, framing): validation refuses to edit those.
#pragma once
#include <cstddef>
#include <optional>
#include <span>

#include "l7/route/request_view.h"
#include "l7/route/table_view.h"

namespace penstock::route {

/// Of a request: record.request; of its response: record.response.
[[nodiscard]] std::optional<std::size_t> edit_headers(const HostView& host, const EditRanges& edits,
                                                      std::span<const HeaderField> in, std::span<HeaderField> out);

}  // namespace penstock::route
