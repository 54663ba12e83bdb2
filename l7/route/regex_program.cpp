#include "l7/route/regex_program.h"

#include <algorithm>

#include "dataplane/core/require.h"

namespace penstock::route {
namespace {

constexpr std::uint8_t kExplore = 0xff;
constexpr int kNoOctet = -1;

bool is_word(int octet) {
  return (octet >= 'a' && octet <= 'z') || (octet >= 'A' && octet <= 'Z') || (octet >= '0' && octet <= '9') ||
         octet == '_';
}

/// `previous` and `next` are kNoOctet at the ends of the text.
bool holds(Assertion assertion, int previous, int next) {
  switch (assertion) {
    case Assertion::begin_text:
      return previous == kNoOctet;
    case Assertion::end_text:
      return next == kNoOctet;
    case Assertion::word_boundary:
      return is_word(previous) != is_word(next);
    case Assertion::no_word_boundary:
      return is_word(previous) == is_word(next);
  }
  return false;
}

bool consumes(const Program& program, const Inst& inst, std::uint8_t octet) {
  if (inst.op == Op::range) return octet >= inst.low && octet <= inst.high;
  return inst.op == Op::set && program.sets[inst.y].has(octet);
}

}  // namespace

bool program_is_sound(const Program& program) {
  const std::size_t count = program.insts.size();
  if (count == 0 || count > kProgramInstMax || program.entry >= count) return false;
  for (const Inst& inst : program.insts) {
    if (inst.op > Op::match || (inst.op != Op::match && inst.x >= count)) return false;
    if (inst.op == Op::split && inst.y >= count) return false;
    if (inst.op == Op::set && inst.y >= program.sets.size()) return false;
    if (inst.op == Op::save && inst.arg >= 2 * kCaptureMax) return false;
    if (inst.op == Op::assert_ && inst.arg > static_cast<std::uint8_t>(Assertion::no_word_boundary)) return false;
  }
  return true;
}

void ProgramScratch::grow(std::size_t insts_max, bool with_captures) {
  if (insts_max > capacity_) {
    capacity_ = insts_max;
    for (StateList* list : {&lists_[0], &lists_[1], &closed_}) {
      list->dense.resize(capacity_);
      list->sparse.resize(capacity_);
    }
    // Each state is explored once and pushes at most two entries (both ways of a split; a capture and its restore).
    stack_.resize(2 * capacity_ + 2);
  }
  if (with_captures || !captures_[0].empty())
    for (std::vector<std::uint16_t>& captures : captures_) captures.resize(capacity_ * 2 * kCaptureMax);
}

ProgramRun::ProgramRun(const Program& program, ProgramScratch& scratch) : program_{program}, scratch_{scratch} {
  require(scratch.fits(program.insts.size(), false), "scratch is too small for this program");
  scratch_.lists_[0].size = 0;
  scratch_.lists_[0].add(program_.entry);
}

void ProgramRun::close(int next_octet) {
  ProgramScratch::StateList& closed = scratch_.closed_;
  const ProgramScratch::StateList& from = scratch_.lists_[current_];
  closed.size = 0;
  for (std::size_t i = 0; i < from.size; ++i) {
    std::size_t depth = 0;
    const auto push = [&](std::uint16_t pc) { scratch_.stack_[depth++].pc_or_value = pc; };
    push(from.dense[i]);
    while (depth != 0) {
      const std::uint16_t pc = scratch_.stack_[--depth].pc_or_value;
      if (closed.has(pc)) continue;
      closed.add(pc);
      const Inst& inst = program_.insts[pc];
      if (inst.op == Op::split) {
        push(inst.y);
        push(inst.x);
      } else if (inst.op == Op::save ||
                 (inst.op == Op::assert_ && holds(Assertion{inst.arg}, previous_octet_, next_octet))) {
        push(inst.x);
      }
    }
  }
}

void ProgramRun::feed(std::string_view piece) {
  for (const char c : piece) {
    if (scratch_.lists_[current_].size == 0) return;
    const auto octet = static_cast<std::uint8_t>(c);
    close(octet);
    ProgramScratch::StateList& next = scratch_.lists_[current_ ^ 1];
    next.size = 0;
    for (std::size_t i = 0; i < scratch_.closed_.size; ++i) {
      const Inst& inst = program_.insts[scratch_.closed_.dense[i]];
      if (consumes(program_, inst, octet) && !next.has(inst.x)) next.add(inst.x);
    }
    current_ ^= 1;
    previous_octet_ = octet;
  }
}

bool ProgramRun::matched() {
  close(kNoOctet);
  for (std::size_t i = 0; i < scratch_.closed_.size; ++i)
    if (program_.insts[scratch_.closed_.dense[i]].op == Op::match) return true;
  return false;
}

bool full_match(const Program& program, std::string_view text, ProgramScratch& scratch) {
  ProgramRun run{program, scratch};
  run.feed(text);
  return run.matched();
}

/// One search: two ordered lists of threads, each thread with its captures; the first in the list is preferred.
class Search {
 public:
  Search(const Program& program, std::string_view text, ProgramScratch& scratch, std::size_t& steps)
      : program_{program}, text_{text}, scratch_{scratch}, steps_{steps} {}

  SearchStatus run(std::size_t from, Captures& captures) {
    bool matched = false;
    list(0).size = list(1).size = 0;
    for (std::size_t at = from; at <= text_.size(); ++at) {
      // A match further left wins, so no new thread once one has matched.
      if (!matched) {
        working_.fill(kNoCapture);
        working_[0] = static_cast<std::uint16_t>(at);
        if (!add_thread(now_, program_.entry, at)) return SearchStatus::too_many_steps;
      }
      if (list(now_).size == 0) break;
      list(now_ ^ 1).size = 0;
      if (!step(at, captures, matched)) return SearchStatus::too_many_steps;
      now_ ^= 1;
    }
    return matched ? SearchStatus::found : SearchStatus::not_found;
  }

 private:
  ProgramScratch::StateList& list(unsigned which) { return scratch_.lists_[which]; }
  std::uint16_t* captures_of(unsigned which, std::uint16_t pc) {
    return scratch_.captures_[which].data() + std::size_t{pc} * 2 * kCaptureMax;
  }
  int octet_at(std::size_t at) const { return at < text_.size() ? static_cast<std::uint8_t>(text_[at]) : kNoOctet; }
  bool spend() { return steps_ != 0 && steps_-- != 0; }

  /// Moves every thread over the octet at `at`; a match ends the threads behind it.
  bool step(std::size_t at, Captures& captures, bool& matched) {
    const int octet = octet_at(at);
    for (std::size_t i = 0; i < list(now_).size; ++i) {
      const std::uint16_t pc = list(now_).dense[i];
      const Inst& inst = program_.insts[pc];
      if (!spend()) return false;
      if (inst.op == Op::match) {
        std::copy_n(captures_of(now_, pc), captures.size(), captures.begin());
        captures[1] = static_cast<std::uint16_t>(at);
        matched = true;
        return true;
      }
      if (octet == kNoOctet || !consumes(program_, inst, static_cast<std::uint8_t>(octet))) continue;
      std::copy_n(captures_of(now_, pc), working_.size(), working_.begin());
      if (!add_thread(now_ ^ 1, inst.x, at + 1)) return false;
    }
    return true;
  }

  /// Adds what is reachable from `pc` without consuming, in order of preference; `working_` are its captures.
  bool add_thread(unsigned which, std::uint16_t pc, std::size_t at) {
    std::size_t depth = 0;
    const auto push = [&](std::uint16_t value, std::uint8_t slot) { scratch_.stack_[depth++] = {value, slot}; };
    push(pc, kExplore);
    while (depth != 0) {
      const ProgramScratch::StackEntry entry = scratch_.stack_[--depth];
      if (entry.slot != kExplore) {
        working_[entry.slot] = entry.pc_or_value;
        continue;
      }
      if (list(which).has(entry.pc_or_value)) continue;
      if (!spend()) return false;
      list(which).add(entry.pc_or_value);
      const Inst& inst = program_.insts[entry.pc_or_value];
      switch (inst.op) {
        case Op::split:
          push(inst.y, kExplore);
          push(inst.x, kExplore);
          break;
        case Op::save:
          push(working_[inst.arg], inst.arg);
          working_[inst.arg] = static_cast<std::uint16_t>(at);
          push(inst.x, kExplore);
          break;
        case Op::assert_:
          if (holds(Assertion{inst.arg}, at == 0 ? kNoOctet : octet_at(at - 1), octet_at(at))) push(inst.x, kExplore);
          break;
        default:
          std::copy_n(working_.begin(), working_.size(), captures_of(which, entry.pc_or_value));
      }
    }
    return true;
  }

  Program program_;
  std::string_view text_;
  ProgramScratch& scratch_;
  std::size_t& steps_;
  Captures working_{};
  unsigned now_{0};
};

SearchStatus search(const Program& program, std::string_view text, std::size_t from, Captures& captures,
                    ProgramScratch& scratch, std::size_t& steps) {
  require(scratch.fits(program.insts.size(), true), "scratch is too small for this program");
  require(text.size() <= kPathOctetsMax && from <= text.size(), "text is beyond the limit");
  return Search{program, text, scratch, steps}.run(from, captures);
}

}  // namespace penstock::route
