// rewrite.h - what a matched route does to path, host and location.
//
// Model     pure functions of route and request that write into the caller's buffer: nothing, or all of it.
//           Expressions run as programs (regex_program.h), not as RE2: no allocation, no lock, a bound on time.
// Units     octets.
// Errors    WriteStatus; on anything but `written` the buffer's content means nothing.
// Limits    the buffer's size; kPathOctetsMax of input; kRewriteStepMax per regex rewrite.
// Not here  headers (header_edit.h); sending.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

#include "l7/route/match.h"

namespace penstock::route {

enum class WriteStatus : std::uint8_t {
  written,
  too_small,      ///< the buffer is
  bad_path,       ///< the expression left something that does not begin with '/': answer 500, count it
  too_many_steps  ///< the expression took too long on this path: answer 500, count it
};
struct Written {
  WriteStatus status{WriteStatus::written};
  std::size_t octets{0};
};

struct MatchedRoute {
  const HostView& host;
  const RouteRecord& route;
};
/// `result` was found in `table`.
[[nodiscard]] inline MatchedRoute matched_route(const LoadedTable& table, const MatchResult& result) {
  const HostView& host = table.view().hosts()[result.host];
  return {host, host.routes[result.route]};
}

/// The request target for upstream: rewritten path, then the query as it was.
[[nodiscard]] Written write_target(const MatchedRoute& matched, const RequestView& request, std::span<char> out,
                                   Scratch& scratch);
/// The host for upstream: rewritten, else the request's.
[[nodiscard]] std::string_view upstream_host(const MatchedRoute& matched, const RequestView& request);

/// The location of a redirect: scheme://host[:port]path[?query]. A port of the request's host is dropped when the
/// route names one, or when the scheme changes and it was the old scheme's own.
[[nodiscard]] Written write_location(const MatchedRoute& matched, const RequestView& request, std::span<char> out,
                                     Scratch& scratch);

struct DirectView {
  std::uint16_t status;
  std::string_view body;
};
/// Of a route whose action is direct_response.
[[nodiscard]] DirectView direct_response(const MatchedRoute& matched);

/// As RE2's GlobalReplace in Latin-1: every match replaced, leftmost first; an empty match right behind another is
/// skipped. For tests and the functions above.
[[nodiscard]] Written replace_all(const Program& program, std::string_view substitution, std::string_view text,
                                  std::span<char> out, ProgramScratch& scratch);

}  // namespace penstock::route
