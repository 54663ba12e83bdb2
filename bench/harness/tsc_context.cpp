// Every bench's report says how fast the time stamp counter runs ("tsc_mhz"), so that scripts/bench can tell cycles of
// all cases; what the library finds in the machine's files is another clock on machines that change theirs.
#include <benchmark/benchmark.h>

#include <string>

#include "tests/support/tsc.h"

namespace {

[[maybe_unused]] const bool told = [] {
  benchmark::AddCustomContext("tsc_mhz", std::to_string(1000 * penstock::test::tsc_per_ns()));
  return true;
}();

}  // namespace
