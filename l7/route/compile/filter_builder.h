// filter_builder.h - a small automaton that tells for most paths that no expression can match.
//
// Model     the subset construction over the programs of all path expressions of a host, breadth first, cut off at
//           kFilterStateMax: what lies behind the cut leads to "ask", and so does a state that everything but a
//           newline keeps (a final ".*"). Assertions count as fulfilled. So the filter may ask in vain, but never
//           keeps back a path that an expression matches.
// Units     states and classes of octets (octets that no expression tells apart).
// Errors    none.
// Limits    kFilterStateMax, kFilterWorkMax: large sets of expressions give a filter that asks more often.
// Not here  walking it (match.cpp): per octet one load, and most paths end within a few octets.
#pragma once
#include <cstdint>
#include <vector>

#include "l7/route/layout.h"
#include "l7/route/regex_program.h"

namespace penstock::route {

/// At worst 2 octets per state and class, some 40 classes: 160 KiB, within a core's second cache. Fewer states ask more
/// often.
inline constexpr std::size_t kFilterStateMax = 2'048;
/// Instructions looked at while building; about 5 ns each.
inline constexpr std::size_t kFilterWorkMax = 8'000'000;

struct FilterImage {
  FilterFacts facts{};
  std::vector<std::uint32_t> states;
  std::vector<std::uint16_t> rows;    ///< by row and class
  std::vector<std::uint32_t> accept;  ///< by state: lowest route of the expressions that match here; kNoRoute
};
/// `min_routes[i]` is the lowest route of programs[i].
[[nodiscard]] FilterImage build_filter(const std::vector<Program>& programs,
                                       const std::vector<std::uint32_t>& min_routes);

}  // namespace penstock::route
