// regex_program.h - a regular expression as a flat program, and the machine that runs it.
//
// Model     Thompson's construction, run as sets of states (no backtracking), over octets (RE2's Latin-1). Used where
//           Hyperscan cannot be: header and query conditions, captures of rewrites, hosts without a database yet.
// Units     octets; program counters are indices of instructions.
// Shape     8 octets per instruction, 32 per octet set; position independent.
// Errors    none when the program passed program_is_sound(). Search can run out of steps and says so.
// Limits    kProgramInstMax bounds time per octet; kRewriteStepMax bounds a search.
// Not here  making programs out of text (compile/regex_syntax.h, compile/regex_emit.h).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "l7/route/limits.h"

namespace penstock::route {

enum class Op : std::uint8_t {
  range,    ///< an octet of [low, high], then x
  set,      ///< an octet of set y, then x
  split,    ///< x, and if that fails y
  save,     ///< position into capture slot `arg`, then x
  assert_,  ///< Assertion `arg` holds here, then x
  match     ///< the end
};
enum class Assertion : std::uint8_t { begin_text, end_text, word_boundary, no_word_boundary };

struct Inst {
  Op op;
  std::uint8_t low;
  std::uint8_t high;
  std::uint8_t arg;
  std::uint16_t x;
  std::uint16_t y;
};
static_assert(sizeof(Inst) == 8);

/// 256 bits: which octets belong.
struct OctetSet {
  std::array<std::uint64_t, 4> words{};
  [[nodiscard]] constexpr bool has(std::uint8_t octet) const { return (words[octet >> 6] >> (octet & 63) & 1) != 0; }
  friend bool operator==(const OctetSet&, const OctetSet&) = default;
};
static_assert(sizeof(OctetSet) == 32);

struct Program {
  std::span<const Inst> insts;
  std::span<const OctetSet> sets;
  std::uint16_t entry{0};  ///< where execution begins
};
/// Every jump stays inside, every set exists, every enum is known, at least one instruction.
[[nodiscard]] bool program_is_sound(const Program& program);

/// Memory for any program of at most `insts_max` instructions; made outside of the packet path.
class ProgramScratch {
 public:
  ProgramScratch() = default;
  void grow(std::size_t insts_max, bool with_captures);
  [[nodiscard]] bool fits(std::size_t insts, bool with_captures) const {
    return insts <= capacity_ && (!with_captures || !captures_[0].empty());
  }

 private:
  friend class ProgramRun;
  friend class Search;
  /// Program counters in order of insertion; membership in constant time without clearing.
  struct StateList {
    std::vector<std::uint16_t> dense;
    std::vector<std::uint16_t> sparse;
    std::size_t size{0};
    [[nodiscard]] bool has(std::uint16_t pc) const { return sparse[pc] < size && dense[sparse[pc]] == pc; }
    void add(std::uint16_t pc) {
      sparse[pc] = static_cast<std::uint16_t>(size);
      dense[size++] = pc;
    }
  };
  struct StackEntry {
    std::uint16_t pc_or_value;
    std::uint8_t slot;  ///< kExplore: a program counter; else put the value back into this capture slot
  };
  std::size_t capacity_{0};
  std::array<StateList, 2> lists_;
  StateList closed_;
  std::vector<StackEntry> stack_;
  std::array<std::vector<std::uint16_t>, 2> captures_;
};

/// Full match of a text that may come in pieces: feed them in order, then ask matched().
class ProgramRun {
 public:
  ProgramRun(const Program& program, ProgramScratch& scratch);
  void feed(std::string_view piece);
  [[nodiscard]] bool matched();

 private:
  /// Follows everything that consumes nothing, between the previous octet and `next_octet` (-1: the end).
  void close(int next_octet);
  Program program_;
  ProgramScratch& scratch_;
  std::uint8_t current_{0};
  int previous_octet_{-1};
};
[[nodiscard]] bool full_match(const Program& program, std::string_view text, ProgramScratch& scratch);

/// Ends of the captures in the text, 2 per group; kNoCapture where a group took no part.
inline constexpr std::uint16_t kNoCapture = 0xffff;
using Captures = std::array<std::uint16_t, 2 * kCaptureMax>;
enum class SearchStatus : std::uint8_t { found, not_found, too_many_steps };
/// Leftmost match at or behind `from`, alternatives in order of preference as in Perl and RE2. `steps` is what may
/// still be spent. text.size() <= kPathOctetsMax.
[[nodiscard]] SearchStatus search(const Program& program, std::string_view text, std::size_t from, Captures& captures,
                                  ProgramScratch& scratch, std::size_t& steps);

}  // namespace penstock::route
