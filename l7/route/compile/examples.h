// examples.h - texts that an expression matches, for verification.
//
// Model     a walk through the tree of the expression with random choices.
// Units     octets.
// Errors    none. Assertions are ignored, so an example of \b or an inner ^ may not match: the reference decides.
#pragma once
#include <cstdint>
#include <string>

#include "l7/route/compile/regex_syntax.h"

namespace penstock::route {

/// splitmix64: small, fast, the same everywhere.
class ExampleRandom {
 public:
  explicit ExampleRandom(std::uint64_t seed) : state_{seed} {}
  std::uint64_t next();
  /// Of [0, bound); bound > 0.
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(next() % bound); }

 private:
  std::uint64_t state_;
};

/// At most about `octets_max` octets: repetitions stop there.
[[nodiscard]] std::string example_of(const Regex& regex, ExampleRandom& random, std::size_t octets_max);

}  // namespace penstock::route
