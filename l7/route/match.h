// match.h - which route answers a request.
//
// Model     host: exact, longest "*suffix", longest "prefix*", "*" (also for an empty
//           or impossible host). Then, in that host, the lowest route whose path,
//           method, header and query conditions hold: one walk of the trie gives the best literal and the lowest
//           expression that could still win; only if that is lower, the host's automaton is walked, and only if that
//           does not know, Hyperscan is asked, with one scan of the path.
// Units     route numbers within the host; ns in route_bench.cpp.
// Shape     no allocation, no lock, no exception.
// Errors    MatchStatus; none is fatal.
// Limits    kPathOctetsMax, kDomainOctetsMax.
// Not here  carrying the action out (rewrite.h, header_edit.h).
#pragma once
#include "l7/route/loaded_table.h"
#include "l7/route/request_view.h"

namespace penstock::route {

enum class MatchStatus : std::uint8_t {
  found,
  no_host,   ///< no virtual host has this domain
  no_route,  ///< none of its routes matches
  bad_path   ///< longer than kPathOctetsMax or with octets outside ASCII
};
inline constexpr std::uint32_t kNoCluster = 0xffffffff;

struct MatchResult {
  MatchStatus status{MatchStatus::no_host};
  std::uint32_t host{kNoHost};
  std::uint32_t route{kNoRoute};
  std::uint32_t cluster{kNoCluster};  ///< index of TableView::cluster_name(); for routes that forward
};

/// `random` chooses between weighted clusters: 64 even bits. `scratch` was grown for `table`.
[[nodiscard]] MatchResult match(const LoadedTable& table, const RequestView& request, Scratch& scratch,
                                std::uint64_t random);

/// The virtual host alone; kNoHost.
[[nodiscard]] std::uint32_t find_host(const TableView& table, std::string_view host, Scratch& scratch);

}  // namespace penstock::route
