#include "tests/conformance/runner/reader.h"

#include <algorithm>

namespace penstock::script {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_word(char c) { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// `key=value key=value`, as directives write them.
void split_settings(std::string_view text, int line, std::vector<Setting>& into) {
  std::size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && is_space(text[at])) ++at;
    std::size_t end = at;
    while (end < text.size() && !is_space(text[end])) ++end;
    if (end == at) return;
    const std::string_view word = text.substr(at, end - at);
    const std::size_t equal = word.find('=');
    const bool has_value = equal != std::string_view::npos;
    into.push_back({line, std::string{word.substr(0, equal)}, has_value ? std::string{word.substr(equal + 1)} : "1"});
    at = end;
  }
}

std::string_view word_after(std::string_view line) {
  const std::size_t begin = std::min(line.find_first_of(" \t"), line.size());
  const std::string_view rest = line.substr(std::min(line.find_first_not_of(" \t", begin), line.size()));
  return rest.substr(0, rest.find_first_of(" \t\r"));
}

bool if_holds(std::string_view line, std::string_view defined) {
  return (word_after(line) == defined) != line.starts_with("#ifndef");
}

}  // namespace

std::vector<std::string> conditions_of(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const std::string name{word_after(line)};
    const bool asks = line.starts_with("#ifdef") || line.starts_with("#ifndef");
    if (asks && std::find(out.begin(), out.end(), name) == out.end()) out.push_back(name);
    at = end + 1;
  }
  return out;
}

char Reader::at(std::size_t ahead) const { return position_ + ahead < text_.size() ? text_[position_ + ahead] : '\0'; }

void Reader::step() {
  if (position_ >= text_.size()) return;
  if (text_[position_] == '\n') ++line_;
  ++position_;
}

void Reader::fail(const std::string& why) {
  if (refusal_) return;
  refusal_ = Refusal{line_, why};
  position_ = text_.size();
}

bool Reader::skip_comment() {
  if (at() == '/' && at(1) == '*') {
    block("*/");
    return true;
  }
  const bool hash = at() == '#';
  if (!hash && !(at() == '/' && at(1) == '/')) return false;
  const int line = line_;
  const std::string text = rest_of_line();
  if (hash) conditional(text);
  if (!hash && text.size() > 2 && text[2] == '@') split_settings(std::string_view{text}.substr(3), line, directives_);
  return true;
}

void Reader::conditional(const std::string& line) {
  if (line.starts_with("#ifdef") || line.starts_with("#ifndef")) {
    ++conditions_;
    if (if_holds(line, defined_)) return;
    skip_branch();
  } else if (line.starts_with("#else") && conditions_ > 0) {
    skip_branch();
  } else if (line.starts_with("#endif") && conditions_ > 0) {
    --conditions_;
  }
}

/// To behind the #else or #endif of this level.
void Reader::skip_branch() {
  for (int depth = 0; position_ < text_.size();) {
    step();  // the line end
    const std::string line = rest_of_line();
    if (line.starts_with("#if")) ++depth;
    if (depth == 0 && line.starts_with("#else")) return;
    if (line.starts_with("#endif") && depth-- == 0) {
      --conditions_;
      return;
    }
  }
  fail("#ifdef without #endif");
}

void Reader::skip_space() {
  do {
    while (is_space(at())) step();
  } while (skip_comment());
}

bool Reader::done() {
  skip_space();
  return position_ >= text_.size();
}

char Reader::peek() {
  skip_space();
  return at();
}

bool Reader::sees(std::string_view word) {
  skip_space();
  return text_.substr(std::min(position_, text_.size())).starts_with(word);
}

bool Reader::take(std::string_view word) {
  if (!sees(word)) return false;
  // A word does not match the beginning of a longer one.
  if (is_word(word.back()) && is_word(at(word.size()))) return false;
  position_ += word.size();
  return true;
}

void Reader::expect(std::string_view word) {
  if (!take(word)) fail("expected '" + std::string{word} + "'");
}

std::string Reader::name() {
  skip_space();
  std::string out;
  for (; is_word(at()); step()) out += at();
  return out;
}

std::string Reader::until(std::string_view stops) {
  skip_space();
  std::string out;
  for (; position_ < text_.size() && !is_space(at()) && stops.find(at()) == std::string_view::npos; step()) out += at();
  return out;
}

std::string Reader::rest_of_line() {
  std::string out;
  for (; position_ < text_.size() && at() != '\n'; step()) out += at();
  return out;
}

std::string Reader::block(std::string_view closing) {
  std::string out;
  const int begin = line_;
  while (position_ < text_.size() && !text_.substr(position_).starts_with(closing)) {
    out += at();
    step();
  }
  if (position_ >= text_.size()) {
    fail("nothing closes what begins in line " + std::to_string(begin));
    return out;
  }
  position_ += closing.size();
  return out;
}

std::string Reader::quoted() {
  skip_space();
  step();
  std::string out;
  for (; position_ < text_.size() && at() != '"'; step()) {
    if (at() == '\\') step();
    out += at();
  }
  if (at() != '"') fail("a string without end");
  step();
  return out;
}

bool Reader::sees_number() {
  skip_space();
  return is_digit(at()) || ((at() == '-' || at() == '+') && is_digit(at(1)));
}

std::int64_t Reader::number() {
  skip_space();
  const bool negative = at() == '-';
  if (negative || at() == '+') step();
  const bool hex = at() == '0' && (at(1) == 'x' || at(1) == 'X');
  if (hex) step(), step();
  std::int64_t value = 0;
  int digits = 0;
  for (int digit; (digit = hex_value(at())) >= 0 && (hex || digit < 10); step(), ++digits) {
    if (value > (std::int64_t{1} << 56)) break;
    value = value * (hex ? 16 : 10) + digit;
  }
  if (digits == 0 || digits > 18) fail("expected a number");
  return negative ? -value : value;
}

std::uint32_t Reader::number32() {
  const std::int64_t value = number();
  if (value < 0 || value > 0xffffffff) fail("not a 32-bit number");
  return static_cast<std::uint32_t>(value);
}

std::int64_t Reader::seconds() {
  skip_space();
  constexpr std::int64_t kSecondsMax = 1'000'000'000;
  std::int64_t us = 0, unit = 1'000'000;
  int digits = 0;
  for (; is_digit(at()); step(), ++digits) {
    us = us * 10 + (at() - '0');
    if (us > kSecondsMax) fail("a time beyond all measure");
  }
  us *= 1'000'000;
  if (at() == '.' && is_digit(at(1))) {
    step();
    for (; is_digit(at()); step(), ++digits) {
      unit /= 10;
      us += (at() - '0') * unit;
    }
  }
  if (digits == 0) fail("expected a time");
  return us;
}

}  // namespace penstock::script
