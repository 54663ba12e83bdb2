// A program for oracle_test.py: reads records from standard input, relays each as a connection's requests, and writes
// what was forwarded. A record is a 4-octet little-endian length and that many octets. An answer is the number of whole
// messages, each as a record, and 1 or 0 for "ended well".
#include <unistd.h>

#include <cstring>
#include <string>

#include "l7/http1/fuzz_test_support.h"

namespace {

using namespace penstock::http1;

bool read_all(char* out, std::size_t octets) {
  while (octets > 0) {
    const ssize_t got = ::read(0, out, octets);
    if (got <= 0) return false;
    out += got;
    octets -= static_cast<std::size_t>(got);
  }
  return true;
}

void put(std::string& out, std::size_t number) {
  const auto value = static_cast<std::uint32_t>(number);
  char octets[4];
  std::memcpy(octets, &value, sizeof octets);
  out.append(octets, sizeof octets);
}

}  // namespace

int main() {
  std::uint32_t octets;
  for (char length[4]; read_all(length, sizeof length);) {
    std::memcpy(&octets, length, sizeof octets);
    std::string input(octets, 0);
    if (!read_all(input.data(), octets)) return 1;
    const test::Relayed result =
        test::relay_requests(input, test::seeded_cuts(octets, test::hash_of(input)), best_classifier());
    std::string out;
    const std::size_t whole = test::whole_messages(result);
    put(out, whole);
    for (std::size_t i = 0; i < whole; ++i) {
      put(out, result.messages[i].size());
      out += result.messages[i];
    }
    put(out, result.end == "end" ? 1 : 0);
    if (::write(1, out.data(), out.size()) != static_cast<ssize_t>(out.size())) return 1;
  }
  return 0;
}
