// regex_syntax.h - regular expressions as a tree of octet sets.
//
// Model     the part of RE2's syntax that means the same in every engine used here; what is left out is refused with
//           a reason. The tree has no syntax left in it (case, classes, '.', escapes are all sets), so each engine gets
//           its own spelling of one meaning.
// Units     octets: Latin-1 as RE2 calls it; the text of an expression is ASCII.
// Errors    parse_regex() gives one sentence about the first thing it cannot take.
// Limits    kRegexOctetsMax, kRegexDepthMax, kRegexRepeatMax.
// Not here  whether RE2 agrees (validate.h asks it as well).
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/core/result.h"
#include "l7/route/regex_program.h"

namespace penstock::route {

struct RegexNode {
  enum class Kind : std::uint8_t { empty, set, concat, alternate, repeat, capture, assertion };
  static constexpr int kUnbounded = -1;

  Kind kind{Kind::empty};
  OctetSet octets;                  ///< set
  std::vector<RegexNode> children;  ///< concat, alternate; one child: repeat, capture
  int min{0};                       ///< repeat
  int max{0};                       ///< repeat; kUnbounded
  bool greedy{true};                ///< repeat
  int group{0};                     ///< capture: its number from 1
  Assertion assertion{Assertion::begin_text};
};

struct Regex {
  RegexNode root;
  int groups{0};  ///< captures beside the whole match
};

[[nodiscard]] Result<Regex, std::string> parse_regex(std::string_view text);

/// What every match begins with: the octets that are fixed from the start of the expression.
[[nodiscard]] std::string literal_prefix(const Regex& regex);
/// Can it match without consuming?
[[nodiscard]] bool matches_empty(const RegexNode& node);

[[nodiscard]] OctetSet single_octet(std::uint8_t octet);
void add_range(OctetSet& set, unsigned low, unsigned high);
[[nodiscard]] int octet_count(const OctetSet& set);

}  // namespace penstock::route
