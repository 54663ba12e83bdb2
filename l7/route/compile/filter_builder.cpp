#include "l7/route/compile/filter_builder.h"

#include <algorithm>
#include <map>
#include <span>

namespace penstock::route {
namespace {

/// Consuming instructions that the automaton may stand at, in order; what they accept without consuming more.
struct StateSet {
  std::vector<std::uint32_t> insts;
  std::uint32_t accept{kNoRoute};
  friend auto operator<=>(const StateSet&, const StateSet&) = default;
};

class FilterBuilder {
 public:
  FilterBuilder(const std::vector<Program>& programs, const std::vector<std::uint32_t>& min_routes)
      : programs_{programs}, min_routes_{min_routes} {
    std::uint32_t base = 0;
    for (std::size_t i = 0; i < programs.size(); ++i) {
      bases_.push_back(base);
      base += static_cast<std::uint32_t>(programs[i].insts.size());
      owner_.insert(owner_.end(), programs[i].insts.size(), static_cast<std::uint32_t>(i));
    }
    seen_.assign(base, 0);
  }

  FilterImage run() {
    choose_classes();
    const StateSet nothing;  // kFilterDead and kFilterAsk have no instructions: they are never left
    for (int i = 0; i < kFilterStart; ++i) {
      sets_.push_back(&nothing);
      image_.accept.push_back(kNoRoute);
    }
    StateSet start;
    begin_closure();
    for (std::size_t i = 0; i < programs_.size(); ++i) close(bases_[i] + programs_[i].entry, start);
    finish_closure(start);
    number(std::move(start));
    const std::size_t classes = image_.facts.class_count;
    next_.assign(kFilterStart * classes, kFilterDead);
    for (std::size_t state = kFilterStart; state < sets_.size(); ++state)
      for (std::size_t octet_class = 0; octet_class < classes; ++octet_class)
        next_.push_back(successor(state, representative_[octet_class]));
    for (std::size_t state = 0; state < sets_.size(); ++state) settled_.push_back(settles(state));
    for (std::size_t state = 0; state < sets_.size(); ++state) add_state(state);
    return std::move(image_);
  }

 private:
  std::span<const std::uint16_t> successors(std::size_t state) const {
    return std::span{next_}.subspan(state * image_.facts.class_count, image_.facts.class_count);
  }
  /// Whatever follows, a match stays possible: walking on would tell nothing.
  bool settles(std::size_t state) const {
    if (state < kFilterStart || image_.accept[state] == kNoRoute) return false;
    for (std::size_t octet_class = 0; octet_class < image_.facts.class_count; ++octet_class)
      if (successors(state)[octet_class] != state && octet_class != image_.facts.classes['\n']) return false;
    return true;
  }
  void add_state(std::size_t state) {
    std::vector<std::uint16_t> row{successors(state).begin(), successors(state).end()};
    for (std::uint16_t& next : row)
      if (settled_[next]) next = kFilterAsk;
    const auto lives = [](std::uint16_t next) { return next != kFilterDead; };
    const auto live = std::find_if(row.begin(), row.end(), lives);
    if (std::count_if(row.begin(), row.end(), lives) <= 1) {
      // Without any successor, class 0 leads to death as well.
      const auto octet_class = live == row.end() ? 0u : static_cast<std::uint32_t>(live - row.begin());
      image_.states.push_back(octet_class << 16 | (live == row.end() ? kFilterDead : *live));
    } else {
      image_.states.push_back(kFilterRow | image_.facts.row_count++);
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

  void begin_closure() { ++round_; }
  /// Adds what is reachable from `id` without consuming.
  void close(std::uint32_t id, StateSet& into) {
    stack_.push_back(id);
    while (!stack_.empty()) {
      const std::uint32_t at = stack_.back();
      stack_.pop_back();
      if (seen_[at] == round_) continue;
      seen_[at] = round_;
      ++work_;
      const Inst& found = inst(at);
      const std::uint32_t base = bases_[owner_[at]];
      switch (found.op) {
        case Op::range:
        case Op::set:
          into.insts.push_back(at);
          break;
        case Op::split:
          stack_.push_back(base + found.y);
          [[fallthrough]];
        case Op::save:
        case Op::assert_:
          stack_.push_back(base + found.x);
          break;
        case Op::match:
          into.accept = std::min(into.accept, min_routes_[owner_[at]]);
          break;
      }
    }
  }
  static void finish_closure(StateSet& set) { std::sort(set.insts.begin(), set.insts.end()); }

  std::uint16_t successor(std::size_t state, std::uint8_t octet) {
    if (work_ > kFilterWorkMax) return kFilterAsk;
    StateSet next;
    begin_closure();
    const std::vector<std::uint32_t>& insts = sets_[state]->insts;
    work_ += insts.size();
    for (const std::uint32_t id : insts)
      if (consumes(id, octet)) close(bases_[owner_[id]] + inst(id).x, next);
    finish_closure(next);
    return number(std::move(next));
  }

  std::uint16_t number(StateSet set) {
    if (set.insts.empty() && set.accept == kNoRoute) return kFilterDead;
    if (const auto found = numbers_.find(set); found != numbers_.end()) return found->second;
    if (sets_.size() >= kFilterStateMax) return kFilterAsk;
    const auto state = static_cast<std::uint16_t>(sets_.size());
    const auto entry = numbers_.emplace(std::move(set), state).first;
    sets_.push_back(&entry->first);
    image_.accept.push_back(entry->first.accept);
    return state;
  }

  const std::vector<Program>& programs_;
  const std::vector<std::uint32_t>& min_routes_;
  std::vector<std::uint16_t> next_;  ///< by state and class
  std::vector<bool> settled_;
  std::vector<std::uint32_t> bases_;  ///< of a program: number of its instruction 0 among all
  std::vector<std::uint32_t> owner_;  ///< program of an instruction
  std::vector<std::uint8_t> representative_;
  std::map<StateSet, std::uint16_t> numbers_;
  std::vector<const StateSet*> sets_;  ///< by state; keys of numbers_, which stay where they are
  std::vector<std::uint64_t> seen_;    ///< round in which an instruction was closed over
  std::vector<std::uint32_t> stack_;
  std::uint64_t round_{0};
  std::size_t work_{0};
  FilterImage image_;
};

}  // namespace

FilterImage build_filter(const std::vector<Program>& programs, const std::vector<std::uint32_t>& min_routes) {
  return FilterBuilder{programs, min_routes}.run();
}

}  // namespace penstock::route
