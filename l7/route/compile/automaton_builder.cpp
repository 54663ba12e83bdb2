#include "l7/route/compile/automaton_builder.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

namespace penstock::route {
namespace {

/// Consuming instructions that the automaton may stand at, and the expressions that match if the text ends here; both
/// in order.
struct StateSet {
  std::vector<std::uint32_t> insts;
  std::vector<std::uint32_t> matches;
  bool inexact{false};  ///< a word boundary was taken for granted on the way here
  friend auto operator<=>(const StateSet&, const StateSet&) = default;
};

class AutomatonBuilder {
 public:
  AutomatonBuilder(const std::vector<Program>& programs, std::size_t state_max)
      : programs_{programs}, state_max_{state_max} {
    std::uint32_t base = 0;
    for (std::size_t i = 0; i < programs.size(); ++i) {
      bases_.push_back(base);
      base += static_cast<std::uint32_t>(programs[i].insts.size());
      owner_.insert(owner_.end(), programs[i].insts.size(), static_cast<std::uint32_t>(i));
    }
    seen_.assign(base, 0);
  }

  AutomatonImage run() {
    choose_classes();
    const StateSet nothing;  // kAutomatonDead and kAutomatonAsk have no instructions: they are never left
    for (int i = 0; i < kAutomatonStart; ++i) {
      sets_.push_back(&nothing);
      image_.accept.push_back(kNoRoute);
    }
    std::vector<std::uint32_t> entries;
    for (std::size_t i = 0; i < programs_.size(); ++i) entries.push_back(bases_[i] + programs_[i].entry);
    number(close(entries, true, false));
    const std::size_t classes = image_.facts.class_count;
    next_.assign(kAutomatonStart * classes, kAutomatonDead);
    for (std::size_t state = kAutomatonStart; state < sets_.size(); ++state)
      for (std::size_t octet_class = 0; octet_class < classes; ++octet_class)
        next_.push_back(successor(state, representative_[octet_class]));
    for (std::size_t state = 0; state < sets_.size(); ++state) add_state(state);
    return std::move(image_);
  }

 private:
  std::span<const std::uint16_t> successors(std::size_t state) const {
    return std::span{next_}.subspan(state * image_.facts.class_count, image_.facts.class_count);
  }
  void add_state(std::size_t state) {
    const auto row = successors(state);
    const auto lives = [](std::uint16_t next) { return next != kAutomatonDead; };
    const auto live = std::find_if(row.begin(), row.end(), lives);
    if (std::count_if(row.begin(), row.end(), lives) <= 1) {
      // Without any successor, class 0 leads to death as well.
      const auto octet_class = live == row.end() ? 0u : static_cast<std::uint32_t>(live - row.begin());
      image_.states.push_back(octet_class << 16 | (live == row.end() ? kAutomatonDead : *live));
    } else {
      image_.states.push_back(kAutomatonRow | image_.facts.row_count++);
      image_.rows.insert(image_.rows.end(), row.begin(), row.end());
    }
  }

  const Inst& inst(std::uint32_t id) const { return programs_[owner_[id]].insts[id - bases_[owner_[id]]]; }
  bool consumes(std::uint32_t id, std::uint8_t octet) const {
    const Inst& at = inst(id);
    if (at.op == Op::range) return octet >= at.low && octet <= at.high;
    return at.op == Op::set && programs_[owner_[id]].sets[at.y].has(octet);
  }

  /// Splits the ASCII octets until each instruction takes all or nothing of every class.
  void choose_classes() {
    std::vector<OctetSet> splitters;
    for (const Program& program : programs_) {
      for (const OctetSet& set : program.sets) splitters.push_back(set);
      for (const Inst& at : program.insts) {
        if (at.op != Op::range) continue;
        OctetSet set;
        for (unsigned octet = at.low; octet <= at.high; ++octet)
          set.words[octet >> 6] |= std::uint64_t{1} << (octet & 63);
        splitters.push_back(set);
      }
    }
    const auto less = [](const OctetSet& a, const OctetSet& b) { return a.words < b.words; };
    std::sort(splitters.begin(), splitters.end(), less);
    splitters.erase(std::unique(splitters.begin(), splitters.end()), splitters.end());
    std::map<std::vector<bool>, std::uint8_t> numbers;
    for (unsigned octet = 0; octet < 128; ++octet) {
      std::vector<bool> signature;
      for (const OctetSet& set : splitters) signature.push_back(set.has(static_cast<std::uint8_t>(octet)));
      const auto [entry, fresh] = numbers.try_emplace(std::move(signature), static_cast<std::uint8_t>(numbers.size()));
      if (fresh) representative_.push_back(static_cast<std::uint8_t>(octet));
      image_.facts.classes[octet] = entry->second;
    }
    image_.facts.class_count = static_cast<std::uint32_t>(numbers.size());
  }

  /// Everything that can be reached without consuming. '^' holds only at the start. '$' leads to matches, but not to
  /// octets: behind it the text has ended.
  StateSet close(const std::vector<std::uint32_t>& from, bool at_start, bool inexact) {
    StateSet set;
    set.inexact = inexact;
    for (const bool at_end : {false, true}) {
      ++round_;
      for (const std::uint32_t id : from) explore(id, at_start, at_end, set);
    }
    std::sort(set.insts.begin(), set.insts.end());
    std::sort(set.matches.begin(), set.matches.end());
    set.matches.erase(std::unique(set.matches.begin(), set.matches.end()), set.matches.end());
    return set;
  }

  void explore(std::uint32_t id, bool at_start, bool at_end, StateSet& into) {
    stack_.push_back(id);
    while (!stack_.empty()) {
      const std::uint32_t at = stack_.back();
      stack_.pop_back();
      if (std::exchange(seen_[at], round_) == round_) continue;
      ++work_;
      const Inst& found = inst(at);
      const std::uint32_t base = bases_[owner_[at]];
      if (found.op == Op::match) {
        into.matches.push_back(owner_[at]);
      } else if (found.op == Op::range || found.op == Op::set) {
        if (!at_end) into.insts.push_back(at);
      } else if (found.op == Op::split) {
        stack_.push_back(base + found.y);
        stack_.push_back(base + found.x);
      } else if (found.op == Op::save || holds(Assertion{found.arg}, at_start, at_end, into)) {
        stack_.push_back(base + found.x);
      }
    }
  }

  static bool holds(Assertion assertion, bool at_start, bool at_end, StateSet& into) {
    if (assertion == Assertion::begin_text) return at_start;
    if (assertion == Assertion::end_text) return at_end;
    into.inexact = true;
    return true;
  }

  std::uint16_t successor(std::size_t state, std::uint8_t octet) {
    if (work_ > kAutomatonWorkMax) return kAutomatonAsk;
    const StateSet& set = *sets_[state];
    work_ += set.insts.size();
    std::vector<std::uint32_t> next;
    for (const std::uint32_t id : set.insts)
      if (consumes(id, octet)) next.push_back(bases_[owner_[id]] + inst(id).x);
    return number(close(next, false, set.inexact));
  }

  std::uint16_t number(StateSet set) {
    if (set.insts.empty() && set.matches.empty()) return kAutomatonDead;
    if (const auto found = numbers_.find(set); found != numbers_.end()) return found->second;
    if (sets_.size() >= state_max_) return kAutomatonAsk;
    const auto state = static_cast<std::uint16_t>(sets_.size());
    const auto entry = numbers_.emplace(std::move(set), state).first;
    sets_.push_back(&entry->first);
    image_.accept.push_back(add_matches(entry->first));
    return state;
  }

  std::uint32_t add_matches(const StateSet& set) {
    if (set.matches.empty()) return kNoRoute;
    if (set.inexact) return kAutomatonUnknown;
    const auto begin = static_cast<std::uint32_t>(image_.matches.size());
    image_.matches.insert(image_.matches.end(), set.matches.begin(), set.matches.end());
    image_.matches.back() |= kLast;
    return begin;
  }

  const std::vector<Program>& programs_;
  std::size_t state_max_;
  std::vector<std::uint16_t> next_;   ///< by state and class
  std::vector<std::uint32_t> bases_;  ///< of a program: number of its instruction 0 among all
  std::vector<std::uint32_t> owner_;  ///< program of an instruction
  std::vector<std::uint8_t> representative_;
  std::map<StateSet, std::uint16_t> numbers_;
  std::vector<const StateSet*> sets_;  ///< by state; keys of numbers_, which stay where they are
  std::vector<std::uint64_t> seen_;    ///< round in which an instruction was closed over
  std::vector<std::uint32_t> stack_;
  std::uint64_t round_{0};
  std::size_t work_{0};
  AutomatonImage image_;
};

}  // namespace

AutomatonImage build_automaton(const std::vector<Program>& programs, std::size_t state_max) {
  if (programs.empty() || state_max <= kAutomatonStart) return {};
  return AutomatonBuilder{programs, std::min(state_max, kAutomatonStateMax)}.run();
}

}  // namespace penstock::route
