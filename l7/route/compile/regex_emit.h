// regex_emit.h - one meaning, two spellings: a program for our machine, an expression for Hyperscan.
//
// Model     both are made from the tree of regex_syntax.h, never from the text, so that no difference of syntax
//           between engines ('$' before a newline, \s with vertical tab, '.' as code point) can slip in.
// Errors    emit_program() refuses what exceeds kProgramInstMax.
// Limits    kProgramInstMax.
#pragma once
#include <string>
#include <vector>

#include "dataplane/core/result.h"
#include "l7/route/compile/regex_syntax.h"
#include "l7/route/regex_program.h"

namespace penstock::route {

struct ProgramImage {
  std::vector<Inst> insts;
  std::vector<OctetSet> sets;
  std::uint16_t entry{0};
  [[nodiscard]] Program program() const { return {insts, sets, entry}; }
};
[[nodiscard]] Result<ProgramImage, std::string> emit_program(const Regex& regex);

/// Anchored at both ends; only \xHH, brackets of those, groups, alternation, repetition and assertions.
[[nodiscard]] std::string emit_hyperscan(const Regex& regex);

}  // namespace penstock::route
