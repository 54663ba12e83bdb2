// automaton_builder.h - a bounded automaton that decides about expressions for most paths by itself.
//
// Model     the subset construction over the programs of all path expressions of a host, breadth first, cut off at
//           kAutomatonStateMax: what lies behind the cut leads to "ask" (Hyperscan). Where a path ends before the cut,
//           the state tells exactly which expressions match; a path that none matches usually dies within a few
//           octets. Word boundaries are taken for granted, and states behind one ask.
// Units     states and classes of octets (octets that no expression tells apart).
// Errors    none; without expressions there is none.
// Limits    kAutomatonStateMax, kAutomatonWorkMax: large sets of expressions ask more often.
// Not here  walking it (match.cpp).
#pragma once
#include <cstdint>
#include <vector>

#include "l7/route/layout.h"
#include "l7/route/regex_program.h"

namespace penstock::route {

/// At worst 2 octets per state and class, some 40 classes: 160 KiB, within a core's second cache. Fewer states ask more
/// often.
inline constexpr std::size_t kAutomatonStateMax = 2'048;
/// Instructions looked at while building; about 5 ns each.
inline constexpr std::size_t kAutomatonWorkMax = 8'000'000;

struct AutomatonImage {
  AutomatonFacts facts{};
  std::vector<std::uint32_t> states;
  std::vector<std::uint16_t> rows;     ///< by row and class
  std::vector<std::uint32_t> accept;   ///< by state
  std::vector<std::uint32_t> matches;  ///< numbers of programs
};
/// With a `state_max` below 3 the result is empty: every path asks.
[[nodiscard]] AutomatonImage build_automaton(const std::vector<Program>& programs, std::size_t state_max);

}  // namespace penstock::route
