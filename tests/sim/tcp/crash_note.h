// crash_note.h - a run that ends the process still says which seed it was.
//
// Model     set() before a run, clear() after it. When a broken invariant aborts, a sanitizer gives up or the memory
//           is wrong, the seed and its command line go to the error output, and a capture in progress to a file.
// Errors    best effort: a handler does what is still possible.
#pragma once
#include <cstdint>
#include <string>

#include "tests/sim/tcp/pcapng.h"

namespace penstock::tcpsim::crash_note {

void install();
/// `options`: what else the command line needs. `capture` may be null.
void set(std::uint64_t seed, const std::string& variant, const std::string& options, const Pcapng* capture);
void clear();

}  // namespace penstock::tcpsim::crash_note
