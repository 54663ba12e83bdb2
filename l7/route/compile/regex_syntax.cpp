#include "l7/route/compile/regex_syntax.h"

#include <bit>

#include "l7/route/compile/regex_class.h"

namespace penstock::route {
namespace {

using Kind = RegexNode::Kind;

struct Flags {
  bool fold{false};        ///< i
  bool dot_all{false};     ///< s
  bool swap_greed{false};  ///< U
};

RegexNode set_node(OctetSet octets) {
  RegexNode node;
  node.kind = Kind::set;
  node.octets = octets;
  return node;
}
RegexNode assertion_node(Assertion assertion) {
  RegexNode node;
  node.kind = Kind::assertion;
  node.assertion = assertion;
  return node;
}
RegexNode group_of(Kind kind, std::vector<RegexNode> children) {
  if (children.size() == 1) return std::move(children.front());
  RegexNode node;
  node.kind = children.empty() ? Kind::empty : kind;
  node.children = std::move(children);
  return node;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_octal(char c) { return c >= '0' && c <= '7'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Recursive descent. The first problem stays in error_ and ends every loop.
class Parser {
 public:
  explicit Parser(std::string_view text) : text_{text} {}

  Result<Regex, std::string> run() {
    if (text_.size() > kRegexOctetsMax) return "longer than " + std::to_string(kRegexOctetsMax) + " octets";
    for (const char c : text_)
      if (static_cast<std::uint8_t>(c) > 0x7f)
        return std::string{"contains octets outside ASCII, which paths never do"};
    Regex regex;
    regex.root = alternation({}, 0);
    if (!failed() && !done()) fail("unmatched ')'");
    regex.groups = groups_;
    if (failed()) return error_;
    return regex;
  }

 private:
  [[nodiscard]] bool done() const { return at_ >= text_.size(); }
  [[nodiscard]] bool failed() const { return !error_.empty(); }
  [[nodiscard]] char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  void fail(std::string what) {
    if (error_.empty()) error_ = std::move(what) + " at offset " + std::to_string(at_);
  }

  RegexNode alternation(Flags flags, std::size_t depth) {
    if (depth > kRegexDepthMax) {
      fail("groups nested deeper than " + std::to_string(kRegexDepthMax));
      return {};
    }
    std::vector<RegexNode> branches;
    std::vector<RegexNode> items;
    while (!failed() && !done() && peek() != ')') {
      if (take("|")) {
        branches.push_back(group_of(Kind::concat, std::exchange(items, {})));
      } else if (take("\\Q")) {
        quoted(items, flags);
      } else {
        item(items, flags, depth);
      }
    }
    branches.push_back(group_of(Kind::concat, std::move(items)));
    return group_of(Kind::alternate, std::move(branches));
  }

  void quoted(std::vector<RegexNode>& items, Flags flags) {
    while (!done() && !take("\\E")) items.push_back(literal(static_cast<std::uint8_t>(text_[at_++]), flags));
  }

  /// One atom with its repetition, or a change of flags for the rest of the group.
  void item(std::vector<RegexNode>& items, Flags& flags, std::size_t depth) {
    RegexNode node;
    const char c = peek();
    if (c == '(') {
      if (!group(node, flags, depth)) return;
    } else if (c == '*' || c == '+' || c == '?') {
      return fail(std::string{"'"} + c + "' has nothing to repeat");
    } else if (int min = 0, max = 0; counted(min, max)) {
      return fail("a count has nothing to repeat");
    } else {
      node = atom(flags);
    }
    if (failed()) return;
    repeat(node, flags);
    items.push_back(std::move(node));
  }

  /// False if it was a change of flags, which is no node.
  bool group(RegexNode& node, Flags& flags, std::size_t depth) {
    if (!refuse_foreign_groups()) return true;
    ++at_;
    Flags inner = flags;
    RegexNode capture;
    if (take("?P<")) {
      while (!done() && peek() != '>') ++at_;
      if (!take(">")) fail("name of a group does not end");
      capture.group = ++groups_;
    } else if (take("?")) {
      if (!read_flags(inner)) return true;
      if (take(")")) {
        flags = inner;
        return false;
      }
      if (!take(":")) fail("unknown kind of group");
    } else {
      capture.group = ++groups_;
    }
    RegexNode body = alternation(inner, depth + 1);
    if (!failed() && !take(")")) fail("missing ')'");
    if (capture.group == 0) {
      node = std::move(body);
    } else {
      capture.kind = Kind::capture;
      capture.children.push_back(std::move(body));
      node = std::move(capture);
    }
    return true;
  }

  bool refuse_foreign_groups() {
    const auto begins = [&](std::string_view word) { return text_.substr(at_).starts_with(word); };
    if (begins("(?=") || begins("(?!") || begins("(?<=") || begins("(?<!"))
      fail("look-around cannot be decided in one pass over the path");
    else if (begins("(?>"))
      fail("atomic groups need backtracking");
    else if (begins("(?P=") || begins("(?P>"))
      fail("back-references cannot be decided in one pass over the path");
    return !failed();
  }

  bool read_flags(Flags& flags) {
    bool value = true;
    for (; !done() && peek() != ')' && peek() != ':'; ++at_) {
      if (peek() == '-' && value)
        value = false;
      else if (peek() == 'i')
        flags.fold = value;
      else if (peek() == 's')
        flags.dot_all = value;
      else if (peek() == 'U')
        flags.swap_greed = value;
      else {
        fail(peek() == 'm' ? "(?m): a path has one line" : "unknown flag or kind of group");
        return false;
      }
    }
    return true;
  }

  RegexNode literal(std::uint8_t octet, Flags flags) {
    const OctetSet set = single_octet(octet);
    return set_node(flags.fold ? folded(set) : set);
  }

  RegexNode atom(Flags flags) {
    const char c = text_[at_++];
    switch (c) {
      case '^':
        return assertion_node(Assertion::begin_text);
      case '$':
        return assertion_node(Assertion::end_text);
      case '.':
        return set_node(flags.dot_all ? negated({}) : negated(single_octet('\n')));
      case '[':
        return set_node(bracket(flags));
      case '\\':
        return escape(flags);
      default:
        return literal(static_cast<std::uint8_t>(c), flags);
    }
  }

  /// Behind the backslash, outside of brackets.
  RegexNode escape(Flags flags) {
    if (take("A")) return assertion_node(Assertion::begin_text);
    if (take("z")) return assertion_node(Assertion::end_text);
    if (take("b")) return assertion_node(Assertion::word_boundary);
    if (take("B")) return assertion_node(Assertion::no_word_boundary);
    if (const auto set = perl_class(peek()); set && !done()) {
      ++at_;
      return set_node(*set);
    }
    const int octet = escaped_octet();
    return octet < 0 ? RegexNode{} : literal(static_cast<std::uint8_t>(octet), flags);
  }

  /// A single octet behind a backslash; -1 after a problem.
  int escaped_octet() {
    const auto bad = [&](std::string what) {
      fail(std::move(what));
      return -1;
    };
    if (done()) return bad("ends with a backslash");
    const char c = text_[at_++];
    switch (c) {
      case 'a':
        return '\a';
      case 'f':
        return '\f';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'v':
        return '\v';
      case 'x':
        return hex_escape();
      case 'C':
        return bad("\\C is not supported; '.' is one octet already");
      case 'p':
      case 'P':
        return bad("Unicode classes are not supported; paths are ASCII");
      default:
        break;
    }
    if (is_digit(c)) {
      if (c > '7' || (c != '0' && !is_octal(peek())))
        return bad("back-references cannot be decided in one pass over the path");
      int value = c - '0';
      for (int more = 0; more < 2 && is_octal(peek()); ++more) value = value * 8 + (text_[at_++] - '0');
      return value > 0x7f ? bad("octets outside ASCII never occur in paths") : value;
    }
    if (is_letter(c)) return bad(std::string{"unknown escape \\"} + c);
    return static_cast<std::uint8_t>(c);
  }

  int hex_escape() {
    int value = 0;
    bool sound = true;
    if (take("{")) {
      int digits = 0;
      for (; !done() && peek() != '}' && digits < 8; ++digits, ++at_) {
        sound = sound && hex_value(peek()) >= 0;
        value = value > 0x7f ? value : value * 16 + hex_value(peek());
      }
      sound = sound && digits > 0 && take("}");
    } else {
      sound = hex_value(peek()) >= 0 && hex_value(peek(1)) >= 0;
      if (sound) value = hex_value(peek()) * 16 + hex_value(peek(1));
      at_ += sound ? 2 : 0;
    }
    if (!sound || value > 0x7f) {
      fail(sound ? "octets outside ASCII never occur in paths" : "broken \\x escape");
      return -1;
    }
    return value;
  }

  /// Behind the opening bracket.
  OctetSet bracket(Flags flags) {
    OctetSet set;
    const bool negate = take("^");
    for (bool first = true; !failed(); first = false) {
      if (done()) {
        fail("missing ']'");
        return set;
      }
      if (peek() == ']' && !first) break;
      if (bracket_class(set, flags)) continue;
      bracket_range(set, flags);
    }
    ++at_;
    return negate ? negated(set) : set;
  }

  /// [:name:], \d and the like within brackets.
  bool bracket_class(OctetSet& set, Flags flags) {
    if (peek() == '[' && peek(1) == ':') {
      const std::size_t end = text_.find(":]", at_ + 2);
      if (end == std::string_view::npos) return false;
      std::string_view name = text_.substr(at_ + 2, end - at_ - 2);
      const bool negate = name.starts_with('^');
      if (negate) name.remove_prefix(1);
      const auto found = posix_class(name);
      if (!found) {
        fail("unknown class [:" + std::string{name} + ":]");
        return true;
      }
      const OctetSet octets = flags.fold ? folded(*found) : *found;
      unite(set, negate ? negated(octets) : octets);
      at_ = end + 2;
      return true;
    }
    if (peek() != '\\' || at_ + 1 >= text_.size()) return false;
    const auto found = perl_class(peek(1));
    if (!found) return false;
    unite(set, *found);
    at_ += 2;
    return true;
  }

  void bracket_range(OctetSet& set, Flags flags) {
    const int low = bracket_octet();
    int high = low;
    if (!failed() && peek() == '-' && at_ + 1 < text_.size() && peek(1) != ']') {
      ++at_;
      high = bracket_octet();
    }
    if (failed()) return;
    if (high < low) return fail("range in brackets runs backwards");
    OctetSet range;
    add_range(range, static_cast<unsigned>(low), static_cast<unsigned>(high));
    unite(set, flags.fold ? folded(range) : range);
  }

  int bracket_octet() {
    if (done()) {
      fail("missing ']'");
      return -1;
    }
    const char c = text_[at_++];
    return c == '\\' ? escaped_octet() : static_cast<std::uint8_t>(c);
  }

  /// * + ? {n} {n,} {n,m} behind an atom, each with an optional '?'.
  void repeat(RegexNode& node, Flags flags) {
    int min = 0, max = RegexNode::kUnbounded;
    if (take("*")) {
    } else if (take("+")) {
      min = 1;
    } else if (take("?")) {
      max = 1;
    } else if (!counted(min, max)) {
      return;
    }
    if (failed()) return;
    RegexNode outer;
    outer.kind = Kind::repeat;
    outer.min = min;
    outer.max = max;
    outer.greedy = take("?") == flags.swap_greed;
    outer.children.push_back(std::move(node));
    node = std::move(outer);
    const char c = peek();
    if (c == '*' || c == '+' || c == '?') fail("repetition of a repetition; put the inner one in a group");
    int ignored_min = 0, ignored_max = 0;
    if (c == '{' && counted(ignored_min, ignored_max)) fail("repetition of a repetition; put the inner one in a group");
  }

  /// False, and nothing taken, when the brace is a literal.
  bool counted(int& min, int& max) {
    std::size_t at = at_;
    const auto number = [&](int& value) {
      const std::size_t start = at;
      value = 0;
      // RE2 takes a number with a leading zero for text.
      if (at + 1 < text_.size() && text_[at] == '0' && is_digit(text_[at + 1])) return false;
      for (; at < text_.size() && is_digit(text_[at]); ++at) value = std::min(value * 10 + (text_[at] - '0'), 100'000);
      return at > start;
    };
    if (peek() != '{') return false;
    ++at;
    if (!number(min)) return false;
    max = min;
    if (at < text_.size() && text_[at] == ',') {
      ++at;
      if (at < text_.size() && text_[at] == '}')
        max = RegexNode::kUnbounded;
      else if (!number(max))
        return false;
    }
    if (at >= text_.size() || text_[at] != '}') return false;
    at_ = at + 1;
    const int limit = static_cast<int>(kRegexRepeatMax);
    if (min > limit || max > limit) fail("repeats more than " + std::to_string(kRegexRepeatMax) + " times");
    if (max != RegexNode::kUnbounded && max < min) fail("repetition range runs backwards");
    return true;
  }

  std::string_view text_;
  std::size_t at_{0};
  int groups_{0};
  std::string error_;
};

/// Appends the fixed octets; false when what follows is open.
bool append_prefix(const RegexNode& node, std::string& prefix) {
  switch (node.kind) {
    case Kind::empty:
      return true;
    case Kind::set:
      if (octet_count(node.octets) != 1) return false;
      for (unsigned octet = 0; octet < 256; ++octet)
        if (node.octets.has(static_cast<std::uint8_t>(octet))) prefix += static_cast<char>(octet);
      return true;
    case Kind::concat:
      for (const RegexNode& child : node.children)
        if (!append_prefix(child, prefix)) return false;
      return true;
    case Kind::capture:
      return append_prefix(node.children.front(), prefix);
    case Kind::assertion:
      return node.assertion == Assertion::begin_text && prefix.empty();
    case Kind::alternate:
    case Kind::repeat:
      return false;
  }
  return false;
}

}  // namespace

Result<Regex, std::string> parse_regex(std::string_view text) { return Parser{text}.run(); }

std::string literal_prefix(const Regex& regex) {
  std::string prefix;
  append_prefix(regex.root, prefix);
  return prefix;
}

bool matches_empty(const RegexNode& node) {
  switch (node.kind) {
    case Kind::set:
      return false;
    case Kind::concat:
      for (const RegexNode& child : node.children)
        if (!matches_empty(child)) return false;
      return true;
    case Kind::alternate:
      for (const RegexNode& child : node.children)
        if (matches_empty(child)) return true;
      return false;
    case Kind::repeat:
      return node.min == 0 || matches_empty(node.children.front());
    case Kind::capture:
      return matches_empty(node.children.front());
    case Kind::empty:
    case Kind::assertion:
      return true;
  }
  return true;
}

OctetSet single_octet(std::uint8_t octet) {
  OctetSet set;
  add_range(set, octet, octet);
  return set;
}

void add_range(OctetSet& set, unsigned low, unsigned high) {
  for (unsigned octet = low; octet <= high; ++octet) set.words[octet >> 6] |= std::uint64_t{1} << (octet & 63);
}

int octet_count(const OctetSet& set) {
  int count = 0;
  for (const std::uint64_t word : set.words) count += std::popcount(word);
  return count;
}

}  // namespace penstock::route
