#include "dataplane/wire/checksum.h"

#include <cstring>

namespace penstock::wire {
namespace {

std::uint64_t load64(const std::byte* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

}  // namespace

std::uint64_t sum_of(ByteView bytes) {
  const std::byte* at = bytes.data();
  std::size_t left = bytes.size();
  // Four accumulators: an add with carry depends on the one before it, so one chain would wait on itself.
  std::uint64_t a = 0, b = 0, c = 0, d = 0;
  for (; left >= 32; left -= 32, at += 32) {
    a = add_sums(a, load64(at));
    b = add_sums(b, load64(at + 8));
    c = add_sums(c, load64(at + 16));
    d = add_sums(d, load64(at + 24));
  }
  for (; left >= 8; left -= 8, at += 8) a = add_sums(a, load64(at));
  if (left > 0) {
    std::uint64_t tail = 0;
    std::memcpy(&tail, at, left);
    b = add_sums(b, tail);
  }
  return add_sums(add_sums(a, b), add_sums(c, d));
}

}  // namespace penstock::wire
