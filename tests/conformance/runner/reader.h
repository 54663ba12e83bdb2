// reader.h - characters of a script to words; the lowest layer of the parser.
//
// Model     a cursor over the text. Spaces, line ends and comments separate words and mean nothing else, but a comment
//           that begins with //@ is kept as a directive.
// Errors    fail() notes the first problem with its line; afterwards everything reads as empty.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "tests/conformance/runner/script.h"

namespace penstock::script {

class Reader {
 public:
  /// Of `#ifdef NAME ... #else ... #endif`, the part for which only `defined` is defined is read.
  Reader(std::string_view text, std::vector<Setting>& directives, std::string_view defined = "")
      : text_{text}, directives_{directives}, defined_{defined} {}

  [[nodiscard]] bool done();
  [[nodiscard]] int line() const { return line_; }
  [[nodiscard]] bool failed() const { return refusal_.has_value(); }
  [[nodiscard]] const std::optional<Refusal>& refusal() const { return refusal_; }
  void fail(const std::string& why);
  /// An #ifdef whose #endif has not come.
  [[nodiscard]] bool unclosed() const { return conditions_ > 0; }

  /// The next character that is not space or comment; 0 at the end.
  [[nodiscard]] char peek();
  [[nodiscard]] bool sees(std::string_view word);
  /// Skips `word` if it comes next.
  bool take(std::string_view word);
  void expect(std::string_view word);
  /// Letters, digits, underscores.
  std::string name();
  /// Up to the next space or one of `stops`.
  std::string until(std::string_view stops);
  std::string rest_of_line();
  /// Everything up to `closing`, which is skipped.
  std::string block(std::string_view closing);
  std::string quoted();
  [[nodiscard]] bool sees_number();
  std::int64_t number();
  std::uint32_t number32();
  /// Seconds with a fraction, as microseconds.
  std::int64_t seconds();

 private:
  void skip_space();
  bool skip_comment();
  void conditional(const std::string& line);
  void skip_branch();
  void step();
  [[nodiscard]] char at(std::size_t ahead = 0) const;

  std::string_view text_;
  std::vector<Setting>& directives_;
  std::string_view defined_;
  int conditions_{};  ///< open ones
  std::size_t position_{};
  int line_{1};
  std::optional<Refusal> refusal_;
};

}  // namespace penstock::script
