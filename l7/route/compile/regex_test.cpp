#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <hs/hs_runtime.h>
#include <re2/re2.h>

#include <chrono>
#include <set>

#include "l7/route/compile/database.h"
#include "l7/route/compile/regex_emit.h"
#include "l7/route/compile/validate.h"
#include "l7/route/random_table_test_support.h"
#include "l7/route/rewrite.h"

namespace penstock::route {
namespace {

using test::random_regex;
using test::Seeded;
using testing::HasSubstr;

/// Ids of the expressions that match, by Hyperscan.
class Hyperscan {
 public:
  explicit Hyperscan(const std::vector<std::string>& expressions) : image_{compile_database(expressions)} {
    if (image_.octets.empty()) return;
    require(hs_deserialize_database(image_.octets.data(), image_.octets.size(), &database_) == HS_SUCCESS, "database");
    require(hs_alloc_scratch(database_, &scratch_) == HS_SUCCESS, "scratch");
  }
  ~Hyperscan() {
    hs_free_scratch(scratch_);
    hs_free_database(database_);
  }
  Hyperscan(const Hyperscan&) = delete;
  Hyperscan& operator=(const Hyperscan&) = delete;
  std::set<unsigned> matches(const std::string& text) {
    std::set<unsigned> found;
    if (database_ == nullptr) return found;
    const auto on_match = [](unsigned id, unsigned long long, unsigned long long, unsigned, void* context) {
      static_cast<std::set<unsigned>*>(context)->insert(id);
      return 0;
    };
    EXPECT_EQ(hs_scan(database_, text.data(), static_cast<unsigned>(text.size()), 0, scratch_, on_match, &found),
              HS_SUCCESS);
    return found;
  }
  [[nodiscard]] bool has(std::size_t id) const { return image_.in_database[id]; }

 private:
  DatabaseImage image_;
  hs_database_t* database_{nullptr};
  hs_scratch_t* scratch_{nullptr};
};

std::string random_text(Seeded& seeded) {
  std::string out;
  for (std::size_t i = seeded.below(10); i > 0; --i)
    out += seeded.below(12) == 0 ? static_cast<char>(seeded.below(256)) : "ab/1ABc.pi\n"[seeded.below(11)];
  return out;
}

TEST(Regex, three_engines_agree_on_random_expressions_and_octets) {
  Seeded seeded{1};
  ProgramScratch scratch;
  scratch.grow(kProgramInstMax, false);
  std::size_t matched = 0, in_database = 0, expressions = 0;
  for (int round = 0; round < 60; ++round) {
    std::vector<std::string> patterns, spelled;
    std::vector<ProgramImage> programs;
    std::vector<std::unique_ptr<RE2>> references;
    while (patterns.size() < 20) {
      const std::string pattern = random_regex(seeded, 3);
      if (!regex_problem(pattern).empty()) continue;
      const auto regex = parse_regex(pattern);
      patterns.push_back(pattern);
      spelled.push_back(emit_hyperscan(*regex));
      programs.push_back(*emit_program(*regex));
      ASSERT_TRUE(program_is_sound(programs.back().program()));
      references.push_back(std::make_unique<RE2>(pattern, RE2::Latin1));
    }
    Hyperscan hyperscan{spelled};
    for (std::size_t i = 0; i < patterns.size(); ++i) in_database += hyperscan.has(i) ? 1 : 0;
    expressions += patterns.size();
    for (int texts = 0; texts < 400; ++texts) {
      const std::string text = random_text(seeded);
      const auto found = hyperscan.matches(text);
      for (std::size_t i = 0; i < patterns.size(); ++i) {
        const bool expected = RE2::FullMatch(text, *references[i]);
        matched += expected ? 1 : 0;
        ASSERT_EQ(full_match(programs[i].program(), text, scratch), expected) << patterns[i] << " on " << text;
        if (hyperscan.has(i)) {
          ASSERT_EQ(found.contains(static_cast<unsigned>(i)), expected) << patterns[i] << " on " << text;
        }
      }
    }
  }
  EXPECT_GT(matched, 5'000u);
  EXPECT_GT(in_database * 10, expressions * 9);
}

TEST(Regex, a_text_in_pieces_matches_like_the_whole) {
  Seeded seeded{2};
  ProgramScratch scratch;
  scratch.grow(kProgramInstMax, false);
  for (int round = 0; round < 2'000; ++round) {
    const std::string pattern = random_regex(seeded, 3);
    if (!regex_problem(pattern).empty()) continue;
    const auto program = *emit_program(*parse_regex(pattern));
    const std::string text = random_text(seeded);
    const std::size_t cut = seeded.below(text.size() + 1);
    const bool whole = full_match(program.program(), text, scratch);
    ProgramRun run{program.program(), scratch};
    run.feed(std::string_view{text}.substr(0, cut));
    run.feed(std::string_view{text}.substr(cut));
    ASSERT_EQ(run.matched(), whole) << pattern << " on " << text << " cut at " << cut;
  }
}

TEST(Regex, replacing_equals_re2_global_replace) {
  Seeded seeded{3};
  ProgramScratch scratch;
  scratch.grow(kProgramInstMax, true);
  std::size_t changed = 0;
  for (int round = 0; round < 60'000; ++round) {
    const std::string pattern = random_regex(seeded, 2);
    if (!regex_problem(pattern).empty()) continue;
    const RE2 reference{pattern, RE2::Latin1};
    std::string substitution = "<\\0>";
    if (reference.NumberOfCapturingGroups() > 0) substitution += "\\1\\\\";
    const auto program = *emit_program(*parse_regex(pattern));
    const std::string text = random_text(seeded);
    std::string expected = text;
    changed += RE2::GlobalReplace(&expected, reference, substitution) > 0 ? 1 : 0;
    char out[256];
    const Written written = replace_all(program.program(), substitution, text, out, scratch);
    ASSERT_EQ(written.status, WriteStatus::written);
    ASSERT_EQ((std::string{out, written.octets}), expected) << pattern << " on " << text;
  }
  EXPECT_GT(changed, 10'000u);
}

TEST(Regex, what_engines_read_differently_or_not_at_all_is_refused_with_the_reason) {
  const std::pair<const char*, const char*> kRefused[] = {
      {"a(?=b)", "look-around"},
      {"(?!a)b", "look-around"},
      {"(?<=a)b", "look-around"},
      {"(?<!a)b", "look-around"},
      {"(a)\\1", "back-ref"},
      {"(?P<x>a)(?P=x)", "back-ref"},
      {"(?>a)", "atomic"},
      {"(?m)^a", "one line"},
      {"\\pL", "Unicode"},
      {"\\C", "one octet"},
      {"\xc3\xa4", "ASCII"},
      {"\\xe9", "ASCII"},
      {"a**", "repetition"},
      {"*a", "nothing to repeat"},
      {"a(?i){2}", "nothing to repeat"},
      {"(a", "missing ')'"},
      {"a)", "unmatched"},
      {"[a", "missing ']'"},
      {"[b-a]", "backwards"},
      {"a{2,1}", "backwards"},
      {"a{1001}", "1000"},
      {"a\\", "backslash"},
      {"\\y", "unknown escape"},
      {"[[:foo:]]", "class"},
      {"((a{999}){999}){999}", "states"},
  };
  for (const auto& [pattern, reason] : kRefused) EXPECT_THAT(regex_problem(pattern), HasSubstr(reason)) << pattern;
  EXPECT_THAT(regex_problem(std::string(2'000, 'a')), HasSubstr("longer"));
  EXPECT_THAT(regex_problem(std::string(200, '(') + std::string(200, ')')), HasSubstr("deeper"));
}

TEST(Regex, traps_of_other_engines_do_not_exist_here) {
  ProgramScratch scratch;
  scratch.grow(kProgramInstMax, false);
  const auto matches = [&](const char* pattern, std::string_view text) {
    const auto regex = parse_regex(pattern);
    EXPECT_TRUE(regex.ok()) << pattern;
    const bool program = full_match(emit_program(*regex)->program(), text, scratch);
    Hyperscan hyperscan{{emit_hyperscan(*regex)}};
    EXPECT_TRUE(hyperscan.has(0)) << pattern;
    EXPECT_EQ(hyperscan.matches(std::string{text}).contains(0), program) << pattern;
    return program;
  };
  EXPECT_FALSE(matches("/a$", "/a\n"));  // '$' is the very end
  EXPECT_FALSE(matches("/a|b", "/ab"));  // anchors bind outside of alternatives
  EXPECT_FALSE(matches("/a|b", "x/a"));  // nothing is searched for
  EXPECT_FALSE(matches("/\\s", "/\v"));  // RE2's \s
  EXPECT_TRUE(matches("/\\v", "/\v"));   // a vertical tab, not a class
  EXPECT_TRUE(matches("/.", "/\xe9"));   // '.' is an octet
  EXPECT_FALSE(matches("/.", "/\n"));
  EXPECT_FALSE(matches("/.", "/\xc3\xa9"));
  EXPECT_TRUE(matches("(/a)?", ""));  // empty matches are allowed
}

TEST(Regex, the_fixed_beginning_is_found) {
  const auto prefix = [](const char* pattern) { return literal_prefix(*parse_regex(pattern)); };
  EXPECT_EQ(prefix("/api/v1/[^/]+"), "/api/v1/");
  EXPECT_EQ(prefix("^(/api)/v(1|2)"), "/api/v");
  EXPECT_EQ(prefix("/a?b"), "/");
  EXPECT_EQ(prefix("/a|/b"), "");
  EXPECT_EQ(prefix("(?i)/Api"), "/");
  EXPECT_EQ(prefix("/\\Qa.b\\E[x]y"), "/a.bxy");
  EXPECT_EQ(prefix("/a{2}"), "/");
}

TEST(Regex, repetitions_of_nothing_cost_nothing) {
  std::string pattern = "(?:)";
  for (int i = 0; i < 12; ++i) pattern = "(?:" + pattern + "){1000}";
  const auto begun = std::chrono::steady_clock::now();
  (void)emit_program(*parse_regex(pattern));
  EXPECT_LT(std::chrono::steady_clock::now() - begun, std::chrono::seconds{5});
}

TEST(Regex, a_search_that_would_take_too_long_says_so) {
  const auto program = *emit_program(*parse_regex("a(.*)(.*)(.*)z|a"));
  ProgramScratch scratch;
  scratch.grow(kProgramInstMax, true);
  const std::string text(8'000, 'a');
  std::vector<char> out(20'000);
  EXPECT_EQ(replace_all(program.program(), "b", text, out, scratch).status, WriteStatus::too_many_steps);
}

}  // namespace
}  // namespace penstock::route
