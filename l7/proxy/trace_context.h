// trace_context.h - the two headers of W3C Trace Context: judged, and made.
//
// Model     pure functions over a field's value. What is valid is passed on as it is; a trace that begins here gets a
//           traceparent of version 00.
// Units     octets.
// Errors    false: the value says nothing that an endpoint could use.
// Limits    kTraceStateOctetsMax, kTraceStateMembersMax (W3C Trace Context s3.3.1).
// Not here  what is done about a bad one (forwarding.cpp).
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace penstock::proxy {

inline constexpr std::size_t kTraceparentOctets = 55;
inline constexpr std::size_t kTraceStateOctetsMax = 512;
inline constexpr std::size_t kTraceStateMembersMax = 32;

/// s3.2.2: version, trace id, parent id, flags; later versions may go on behind a dash.
[[nodiscard]] bool is_traceparent(std::string_view value);
/// s3.3.1: members "key=value" between commas, each key in its syntax.
[[nodiscard]] bool is_tracestate(std::string_view value);
/// `random` are 16 octets of trace id and 8 of parent id; an id of zeros would be invalid and becomes 1.
void write_traceparent(std::array<std::uint64_t, 3> random, bool sampled, std::span<char, kTraceparentOctets> out);

inline constexpr std::size_t kHexOctets = 16;
/// A word as hexadecimal digits in lower case, the highest first.
void put_hex(std::uint64_t word, std::span<char, kHexOctets> out);

}  // namespace penstock::proxy
