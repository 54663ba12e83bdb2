// words.h - the command line of the lab's small programs.
//
// Model     options ("--name VALUE", "--name") are taken out first, wherever they stand; what is left are the places,
//           in order.
// Units     none.
// Shape     owns its words; one object in main().
// Errors    a missing, wrong or left-over word prints "PROGRAM: what" and the usage to stderr, and ends the program
//           with 2.
// Limits    none.
// Not here  what a Route is for (net.h)
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "bench/lab/peers/net.h"

namespace penstock::lab {

class Words {
 public:
  Words(int argc, char** argv, std::string_view usage);

  /// "--name": was it given?
  bool flag(std::string_view name);
  /// "--name VALUE", else `otherwise`.
  template <typename T>
  T option(std::string_view name, T otherwise) {
    std::string text;
    return take(name, text) ? number<T>(text) : otherwise;
  }

  /// Is the next place this word? Then it is taken.
  bool command(std::string_view word);
  [[nodiscard]] bool more() const { return !words_.empty(); }
  std::string place(std::string_view what);
  template <typename T>
  T place_number(std::string_view what) {
    return number<T>(place(what));
  }
  std::uint16_t port() { return place_number<std::uint16_t>("PORT"); }
  /// All that is left, as PORT=ADDRESS:PORT; at least one.
  std::vector<Route> routes();
  /// Nothing may be left.
  void end();
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  bool take(std::string_view name, std::string& value);
  template <typename T>
  T number(const std::string& text) const {
    T value{};
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (code != std::errc{} || end != text.data() + text.size()) refuse(text + ": not a number that fits");
    return value;
  }

  std::string program_;
  std::string_view usage_;
  std::vector<std::string> words_;
};

}  // namespace penstock::lab
