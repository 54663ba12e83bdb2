// case_test_support.h - the table of tests/corpus/http1_smuggling as values.
//
// Model     a case: name, octets that come in, what is forwarded, how it ends. Format: see requests.txt.
// Errors    a malformed table ends the test.
#pragma once
#include <string>
#include <vector>

#include "l7/http1/relay_test_support.h"

namespace penstock::http1::test {

struct Case {
  std::string name;
  Method method{Method::get};  ///< responses
  bool closed{};               ///< responses
  std::string input;
  Relayed expected;
};

[[nodiscard]] std::vector<Case> read_cases(const std::string& path);
/// Writes the table anew with these results in place of the "< " and "= " lines.
void rewrite_cases(const std::string& path, const std::vector<Relayed>& results);

}  // namespace penstock::http1::test
