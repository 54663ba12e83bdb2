// Any expression and any text: what validation accepts, our program and RE2 read alike, as a full match and as a
// replacement; what it refuses, it refuses without harm. Input: expression, newline, text.
#include <re2/re2.h>

#include <cstdint>
#include <string>

#include "l7/route/compile/examples.h"
#include "l7/route/compile/regex_emit.h"
#include "l7/route/compile/validate.h"
#include "l7/route/rewrite.h"

namespace penstock::route {
namespace {

bool has_loop_over_empty(const RegexNode& node) {
  if (node.kind == RegexNode::Kind::repeat && matches_empty(node.children.front())) return true;
  for (const RegexNode& child : node.children)
    if (has_loop_over_empty(child)) return true;
  return false;
}

void compare(const std::string& pattern, const std::string& text) {
  if (!regex_problem(pattern).empty()) return;
  const auto regex = parse_regex(pattern);
  const auto program = emit_program(*regex);
  require(program_is_sound(program->program()), "emitted program is sound");
  ProgramScratch scratch;
  scratch.grow(program->insts.size(), true);
  const RE2 reference{pattern, RE2::Latin1};
  require(full_match(program->program(), text, scratch) == RE2::FullMatch(text, reference), "engines disagree");
  ExampleRandom random{text.size()};
  const std::string example = example_of(*regex, random, 200);
  require(full_match(program->program(), example, scratch) == RE2::FullMatch(example, reference), "engines disagree");
  require(!RE2::FullMatch(text, reference) || text.starts_with(literal_prefix(*regex)), "prefix is wrong");
  // RE2 simplifies loops over nothing before it compiles, which may move their empty captures.
  if (text.size() > 200 || has_loop_over_empty(regex->root)) return;
  std::string expected = text;
  const std::string substitution = reference.NumberOfCapturingGroups() > 0 ? "<\\0\\1>" : "<\\0>";
  RE2::GlobalReplace(&expected, reference, substitution);
  char out[4'096];
  const Written written = replace_all(program->program(), substitution, text, out, scratch);
  require(written.status != WriteStatus::written || std::string_view(out, written.octets) == expected,
          "replacements differ");
}

}  // namespace
}  // namespace penstock::route

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string pattern;
  for (; size > 0 && *data != '\n'; ++data, --size) pattern += static_cast<char>(*data);
  std::string text;
  for (; size > 1; --size) text += static_cast<char>(*++data);
  // Larger ones only take time: counted repetitions multiply.
  if (pattern.size() <= 128 && text.size() <= 1'024) penstock::route::compare(pattern, text);
  return 0;
}
