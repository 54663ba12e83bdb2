#include "l7/route/compile/regex_emit.h"

#include <algorithm>

namespace penstock::route {
namespace {

using Kind = RegexNode::Kind;

/// Builds from the end: emit(node, next) gives where a thread must stand to match node and then go on at next.
class ProgramBuilder {
 public:
  Result<ProgramImage, std::string> run(const Regex& regex) {
    const std::uint16_t end = add({Op::match, 0, 0, 0, 0, 0});
    image_.entry = emit(regex.root, end);
    if (full_) return "needs more than " + std::to_string(kProgramInstMax) + " states";
    return std::move(image_);
  }

 private:
  std::uint16_t add(Inst inst) {
    // Also ends the expansion of nested repetitions.
    if (image_.insts.size() >= kProgramInstMax) {
      full_ = true;
      return 0;
    }
    image_.insts.push_back(inst);
    return static_cast<std::uint16_t>(image_.insts.size() - 1);
  }

  std::uint16_t emit(const RegexNode& node, std::uint16_t next) {
    if (full_) return 0;
    switch (node.kind) {
      case Kind::empty:
        return next;
      case Kind::set:
        return emit_set(node.octets, next);
      case Kind::concat:
        for (auto child = node.children.rbegin(); child != node.children.rend(); ++child) next = emit(*child, next);
        return next;
      case Kind::alternate:
        return emit_alternate(node, next);
      case Kind::repeat:
        return emit_repeat(node, next);
      case Kind::capture:
        return emit_capture(node, next);
      case Kind::assertion:
        return add({Op::assert_, 0, 0, static_cast<std::uint8_t>(node.assertion), next, 0});
    }
    return next;
  }

  std::uint16_t emit_set(const OctetSet& octets, std::uint16_t next) {
    const int count = octet_count(octets);
    unsigned low = 0;
    while (count != 0 && !octets.has(static_cast<std::uint8_t>(low))) ++low;
    const unsigned high = low + static_cast<unsigned>(count) - 1;
    bool is_range = count != 0 && high < 256;
    for (unsigned octet = low; is_range && octet <= high; ++octet)
      is_range = octets.has(static_cast<std::uint8_t>(octet));
    if (is_range) return add({Op::range, static_cast<std::uint8_t>(low), static_cast<std::uint8_t>(high), 0, next, 0});
    auto found = std::find(image_.sets.begin(), image_.sets.end(), octets);
    if (found == image_.sets.end()) found = image_.sets.insert(found, octets);
    return add({Op::set, 0, 0, 0, next, static_cast<std::uint16_t>(found - image_.sets.begin())});
  }

  std::uint16_t emit_alternate(const RegexNode& node, std::uint16_t next) {
    std::uint16_t entry = emit(node.children.back(), next);
    for (std::size_t i = node.children.size() - 1; i-- > 0;) {
      const std::uint16_t branch = emit(node.children[i], next);
      entry = add({Op::split, 0, 0, 0, branch, entry});
    }
    return entry;
  }

  std::uint16_t split(const RegexNode& repeat, std::uint16_t again, std::uint16_t next) {
    return add({Op::split, 0, 0, 0, repeat.greedy ? again : next, repeat.greedy ? next : again});
  }

  std::uint16_t emit_repeat(const RegexNode& node, std::uint16_t next) {
    const RegexNode& child = node.children.front();
    const std::uint16_t past = next;
    if (node.max == RegexNode::kUnbounded) {
      // One loop for the tail. What can be empty loops as (x+)?, RE2's reading, which decides its captures.
      const std::uint16_t loop = add({Op::split, 0, 0, 0, 0, 0});
      const std::uint16_t body = emit(child, loop);
      if (full_) return 0;
      image_.insts[loop].x = node.greedy ? body : past;
      image_.insts[loop].y = node.greedy ? past : body;
      if (node.min == 0) return matches_empty(child) ? split(node, body, past) : loop;
      return emit_copies(child, node.min - 1, body);
    }
    // x{2,4} is xx(x(x)?)?: each optional copy leads past all others.
    for (int i = node.min; i < node.max && !full_; ++i) next = split(node, emit(child, next), past);
    return emit_copies(child, node.min, next);
  }

  std::uint16_t emit_copies(const RegexNode& child, int copies, std::uint16_t next) {
    for (int i = 0; i < copies && !full_; ++i) {
      const std::uint16_t entry = emit(child, next);
      if (entry == next) break;  // nothing in it: more copies would only take time
      next = entry;
    }
    return next;
  }

  std::uint16_t emit_capture(const RegexNode& node, std::uint16_t next) {
    if (node.group >= static_cast<int>(kCaptureMax)) return emit(node.children.front(), next);
    const auto slot = static_cast<std::uint8_t>(2 * node.group);
    const std::uint16_t close = add({Op::save, 0, 0, static_cast<std::uint8_t>(slot + 1), next, 0});
    return add({Op::save, 0, 0, slot, emit(node.children.front(), close), 0});
  }

  ProgramImage image_;
  bool full_{false};
};

void append_hex(std::string& out, unsigned octet) {
  static constexpr char kDigits[] = "0123456789abcdef";
  out += "\\x";
  out += kDigits[octet >> 4];
  out += kDigits[octet & 15];
}

void spell_set(const OctetSet& octets, std::string& out) {
  if (octet_count(octets) == 0) {
    // An empty class has no spelling; this never matches either: an octet that is not any octet.
    out += "[^\\x00-\\xff]";
    return;
  }
  out += '[';
  for (unsigned low = 0; low < 256; ++low) {
    if (!octets.has(static_cast<std::uint8_t>(low))) continue;
    unsigned high = low;
    while (high + 1 < 256 && octets.has(static_cast<std::uint8_t>(high + 1))) ++high;
    append_hex(out, low);
    if (high > low) {
      out += '-';
      append_hex(out, high);
    }
    low = high;
  }
  out += ']';
}

void spell(const RegexNode& node, std::string& out) {
  switch (node.kind) {
    case Kind::empty:
      break;
    case Kind::set:
      spell_set(node.octets, out);
      break;
    case Kind::concat:
      for (const RegexNode& child : node.children) spell(child, out);
      break;
    case Kind::alternate:
      out += "(?:";
      for (std::size_t i = 0; i < node.children.size(); ++i) {
        if (i != 0) out += '|';
        spell(node.children[i], out);
      }
      out += ')';
      break;
    case Kind::repeat: {
      out += "(?:";
      spell(node.children.front(), out);
      out += "){" + std::to_string(node.min) + ",";
      if (node.max != RegexNode::kUnbounded) out += std::to_string(node.max);
      out += '}';
      break;
    }
    case Kind::capture:
      out += "(?:";
      spell(node.children.front(), out);
      out += ')';
      break;
    case Kind::assertion: {
      static constexpr const char* kSpelling[] = {"\\A", "\\z", "\\b", "\\B"};
      out += kSpelling[static_cast<std::size_t>(node.assertion)];
      break;
    }
  }
}

}  // namespace

Result<ProgramImage, std::string> emit_program(const Regex& regex) { return ProgramBuilder{}.run(regex); }

std::string emit_hyperscan(const Regex& regex) {
  std::string out = "\\A(?:";
  spell(regex.root, out);
  return out + ")\\z";
}

}  // namespace penstock::route
