// Statements in %{ }%: lines of `assert`, with the part of Python's expressions that scripts use.
#include <algorithm>
#include <vector>

#include "tests/conformance/runner/info.h"
#include "tests/conformance/runner/reader.h"

namespace penstock::script {
namespace {

constexpr int kDepthMax = 32;

/// or > and > not > comparison > sum > product > unary > value
class Expression {
 public:
  Expression(Reader& in, const Subject& subject, const Variables& variables)
      : in_{in}, subject_{subject}, variables_{variables} {}

  std::int64_t either() {
    std::int64_t left = both();
    while (in_.take("or")) left = static_cast<std::int64_t>((both() != 0) | (left != 0));
    return left;
  }
  [[nodiscard]] const std::string& values() const { return values_; }

 private:
  std::int64_t both() {
    std::int64_t left = negated();
    while (in_.take("and")) left = static_cast<std::int64_t>((negated() != 0) & (left != 0));
    return left;
  }
  std::int64_t negated() {
    if (in_.take("not")) return deeper([this] { return negated(); }) == 0 ? 1 : 0;
    return comparison();
  }
  std::int64_t comparison() {
    std::int64_t left = sum();
    std::int64_t holds = left;
    bool compared = false;
    for (;;) {  // chained, as a < b < c
      bool now_holds = false;
      std::int64_t right = 0;
      const auto is = [&](std::string_view op, auto test) {
        if (!in_.take(op)) return false;
        right = sum();
        now_holds = test(left, right);
        return true;
      };
      const bool found = is("==", std::equal_to<>{}) || is("!=", std::not_equal_to<>{}) ||
                         is("<=", std::less_equal<>{}) || is(">=", std::greater_equal<>{}) || is("<", std::less<>{}) ||
                         is(">", std::greater<>{});
      if (!found) return holds;
      holds = (!compared || holds != 0) && now_holds ? 1 : 0;
      compared = true;
      left = right;
    }
  }
  std::int64_t sum() {
    std::int64_t left = product();
    for (;;) {
      if (in_.take("|"))
        left |= product();
      else if (in_.take("+"))
        left = bounded(left + product());
      else if (in_.take("-"))
        left = bounded(left - product());
      else
        return left;
    }
  }
  std::int64_t product() {
    std::int64_t left = value();
    for (;;) {
      if (in_.take("*")) {
        left = bounded(left * value());
      } else if (in_.take("//") || in_.take("/")) {
        const std::int64_t by = value();
        if (by == 0) in_.fail("division by zero");
        left = by == 0 ? 0 : left / by;
      } else if (in_.take("&")) {
        left &= value();
      } else {
        return left;
      }
    }
  }
  /// Nothing that TCP_INFO says comes near this; so products cannot overflow.
  std::int64_t bounded(std::int64_t n) {
    constexpr std::int64_t kMax = 1'000'000'000;
    if (n > kMax * 8 || n < -kMax * 8) in_.fail("a number beyond all measure");
    return in_.failed() ? 0 : n;
  }
  template <typename F>
  std::int64_t deeper(F what) {
    if (++depth_ > kDepthMax) in_.fail("nested too deeply");
    const std::int64_t out = in_.failed() ? 0 : what();
    --depth_;
    return out;
  }
  std::int64_t value() {
    if (in_.failed()) return 0;
    if (in_.take("(")) {
      const std::int64_t out = deeper([this] { return either(); });
      in_.expect(")");
      return out;
    }
    if (in_.sees_number()) {
      const std::int64_t n = in_.number();
      constexpr std::int64_t kLiteralMax = 0x80000000;
      if (n > kLiteralMax || n < -kLiteralMax) in_.fail("a number beyond all measure");
      return in_.failed() ? 0 : n;
    }
    if (in_.take("-")) return -deeper([this] { return value(); });
    const std::string name = in_.name();
    if (const auto constant = info_constant(name)) return *constant;
    if (const auto variable = variables_.find(name); variable != variables_.end()) return variable->second;
    const auto known = info_of(subject_, name);
    if (!known) in_.fail("no value for '" + name + "'");
    if (known) values_ += (values_.empty() ? "" : ", ") + name + " is " + std::to_string(*known);
    return known.value_or(0);
  }

  Reader& in_;
  const Subject& subject_;
  const Variables& variables_;
  int depth_{};
  std::string values_;
};

/// The statement's own line, without the text that follows a comma outside parentheses.
std::string_view condition_of(std::string_view line) {
  int depth = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '(') ++depth;
    if (line[i] == ')') --depth;
    if (line[i] == '"' || line[i] == '\'' || (line[i] == ',' && depth == 0)) return line.substr(0, i);
  }
  return line;
}

/// Lines, and statements joined by ';'.
std::vector<std::string> statements_of(std::string_view text) {
  std::vector<std::string> out{""};
  int depth = 0;
  bool comment = false;
  for (const char c : text) {
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (c == '#') comment = true;
    const bool ends = (c == '\n' && depth <= 0) || (c == ';' && !comment);
    if (c == '\n') comment = false;
    if (ends)
      out.emplace_back();
    else if (!comment && c != '\\')
      out.back() += c == '\n' ? ' ' : c;
  }
  return out;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

/// The name that a statement `name = expression` gives a value; empty if it is another statement.
std::string assigned(Reader& in, std::string_view statement) {
  const std::size_t equal = statement.find('=');
  if (equal == std::string_view::npos || statement.substr(equal).starts_with("==")) return "";
  const std::string_view left = trimmed(statement.substr(0, equal));
  if (left.empty() || in.name() != left || !in.take("=")) return "";
  return std::string{left};
}

}  // namespace

AssertionResult check_assertions(std::string_view text, const Subject& subject, Variables& variables) {
  AssertionResult out;
  for (const std::string& statement : statements_of(text)) {
    std::vector<Setting> none;
    const std::string_view condition = condition_of(statement);
    Reader in{condition, none};
    if (in.done() || in.take("print") || in.take("import")) continue;
    const bool asserts = in.take("assert");
    const std::string variable = asserts ? "" : assigned(in, condition);
    if (!asserts && variable.empty()) {
      out.unsupported = "statement '" + statement + "'";
      return out;
    }
    Expression expression{in, subject, variables};
    const std::int64_t value = expression.either();
    if (!in.failed() && !in.done()) in.fail("expression in '" + statement + "'");
    if (in.failed()) {
      out.unsupported = in.refusal()->why;
      return out;
    }
    if (!asserts) variables[variable] = value;
    if (!asserts || value != 0 || !out.failure.empty()) continue;
    out.failure = "'" + std::string{trimmed(condition)} + "' does not hold" +
                  (expression.values().empty() ? "" : ": " + expression.values());
  }
  return out;
}

}  // namespace penstock::script
