#include "bench/lab/peers/words.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace penstock::lab {

Words::Words(int argc, char** argv, std::string_view usage)
    : program_{argv[0]}, usage_{usage}, words_(argv + 1, argv + argc) {
  program_.erase(0, program_.rfind('/') + 1);
}

void Words::refuse(const std::string& what) const {
  std::fprintf(stderr, "%s: %s\nusage: %.*s\n", program_.c_str(), what.c_str(), static_cast<int>(usage_.size()),
               usage_.data());
  std::exit(2);
}

bool Words::flag(std::string_view name) {
  const auto found = std::find(words_.begin(), words_.end(), name);
  if (found == words_.end()) return false;
  words_.erase(found);
  return true;
}

bool Words::take(std::string_view name, std::string& value) {
  const auto found = std::find(words_.begin(), words_.end(), name);
  if (found == words_.end()) return false;
  if (found + 1 == words_.end()) refuse(std::string{name} + ": a value is missing");
  value = *(found + 1);
  words_.erase(found, found + 2);
  return true;
}

bool Words::command(std::string_view word) {
  if (words_.empty() || words_.front() != word) return false;
  words_.erase(words_.begin());
  return true;
}

std::string Words::place(std::string_view what) {
  if (words_.empty()) refuse(std::string{what} + " is missing");
  if (words_.front().starts_with("--")) refuse(words_.front() + ": no such option");
  std::string word = words_.front();
  words_.erase(words_.begin());
  return word;
}

std::vector<Route> Words::routes() {
  std::vector<Route> routes;
  do {
    const std::string word = place("PORT=ADDRESS:PORT");
    const auto equals = word.find('='), colon = word.rfind(':');
    if (equals == std::string::npos || colon == std::string::npos || colon < equals)
      refuse(word + ": expected PORT=ADDRESS:PORT");
    routes.push_back(
        {number<std::uint16_t>(word.substr(0, equals)),
         address_of(word.substr(equals + 1, colon - equals - 1), number<std::uint16_t>(word.substr(colon + 1)))});
  } while (more());
  return routes;
}

void Words::end() {
  if (more()) refuse(words_.front() + ": not expected");
}

}  // namespace penstock::lab
