#include "l7/route/compile/regex_class.h"

#include "l7/route/compile/regex_syntax.h"

namespace penstock::route {
namespace {

/// From pairs of first and last octet.
OctetSet of_ranges(std::string_view pairs) {
  OctetSet set;
  for (std::size_t i = 0; i + 1 < pairs.size(); i += 2)
    add_range(set, static_cast<std::uint8_t>(pairs[i]), static_cast<std::uint8_t>(pairs[i + 1]));
  return set;
}

}  // namespace

OctetSet negated(OctetSet set) {
  for (std::uint64_t& word : set.words) word = ~word;
  return set;
}

void unite(OctetSet& into, const OctetSet& other) {
  for (std::size_t i = 0; i < into.words.size(); ++i) into.words[i] |= other.words[i];
}

OctetSet folded(OctetSet set) {
  for (unsigned lower = 'a'; lower <= 'z'; ++lower) {
    const auto small = static_cast<std::uint8_t>(lower), capital = static_cast<std::uint8_t>(lower - 'a' + 'A');
    if (set.has(small) || set.has(capital)) {
      add_range(set, small, small);
      add_range(set, capital, capital);
    }
  }
  return set;
}

std::optional<OctetSet> perl_class(char letter) {
  switch (letter) {
    case 'd':
      return of_ranges("09");
    case 's':
      return of_ranges("\t\n\f\r  ");
    case 'w':
      return of_ranges("09AZaz__");
    case 'D':
    case 'S':
    case 'W':
      return negated(*perl_class(static_cast<char>(letter - 'A' + 'a')));
    default:
      return std::nullopt;
  }
}

std::optional<OctetSet> posix_class(std::string_view name) {
  struct Row {
    std::string_view name;
    std::string_view ranges;
  };
  using namespace std::string_view_literals;
  static constexpr Row kRows[] = {
      {"alnum", "09AZaz"},
      {"alpha", "AZaz"},
      {"ascii", "\x00\x7f"sv},
      {"blank", "\t\t  "},
      {"cntrl", "\x00\x1f\x7f\x7f"sv},
      {"digit", "09"},
      {"graph", "!~"},
      {"lower", "az"},
      {"print", " ~"},
      {"punct", "!/:@[`{~"},
      {"space", "\t\r  "},
      {"upper", "AZ"},
      {"word", "09AZaz__"},
      {"xdigit", "09AFaf"},
  };
  for (const Row& row : kRows)
    if (row.name == name) return of_ranges(row.ranges);
  return std::nullopt;
}

}  // namespace penstock::route
