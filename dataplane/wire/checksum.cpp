#include "dataplane/wire/checksum.h"

#include <cstring>

namespace penstock::wire {
namespace {

template <typename T>
T load(const std::byte* at) {
  T word;
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
    a = add_sums(a, load<std::uint64_t>(at));
    b = add_sums(b, load<std::uint64_t>(at + 8));
    c = add_sums(c, load<std::uint64_t>(at + 16));
    d = add_sums(d, load<std::uint64_t>(at + 24));
  }
  for (; left >= 8; left -= 8, at += 8) a = add_sums(a, load<std::uint64_t>(at));
  // The tail in fixed steps: a memcpy of unknown length would be a call.
  if ((left & 4) != 0) {
    b = add_sums(b, load<std::uint32_t>(at));
    at += 4;
  }
  if ((left & 2) != 0) {
    c = add_sums(c, load<std::uint16_t>(at));
    at += 2;
  }
  if ((left & 1) != 0) {
    const std::byte padded[2] = {*at, std::byte{0}};
    d = add_sums(d, load<std::uint16_t>(padded));
  }
  return add_sums(add_sums(a, b), add_sums(c, d));
}

}  // namespace penstock::wire
