#include "dataplane/flow/decision_cache.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace penstock::flow {
namespace {

/// Clears the bits behind `bits`, counted over all 128.
IpAddress masked_wide(IpAddress address, std::size_t bits) {
  for (std::size_t i = 0; i < address.octets.size(); ++i) {
    const std::size_t kept = bits > i * 8 ? std::min<std::size_t>(8, bits - i * 8) : 0;
    address.octets[i] = static_cast<std::uint8_t>(address.octets[i] & (0xff00u >> kept));
  }
  return address;
}

}  // namespace

DecisionCache::DecisionCache(std::uint32_t slots, std::uint64_t seed)
    : entries_(std::bit_ceil(std::max<std::size_t>(slots, kWays))), seed_{seed | 1} {}

std::size_t DecisionCache::set_of(std::uint32_t listener_id, const IpAddress& prefix, std::uint8_t bits) const {
  std::array<std::uint64_t, 2> w;
  std::memcpy(w.data(), prefix.octets.data(), sizeof w);
  std::uint64_t h = (w[0] ^ seed_) * 0x9e3779b97f4a7c15ull;
  h = (h ^ (h >> 32) ^ w[1]) * (seed_ + 2);
  h = (h ^ (h >> 29) ^ listener_id ^ (std::uint64_t{bits} << 32)) * 0xd1b54a32d192ed03ull;
  return (h >> 32) % (entries_.size() / kWays) * kWays;
}

bool DecisionCache::put(std::uint32_t listener_id, const IpPrefix& prefix, control::Decision decision, Instant until) {
  const bool v4 = prefix.address.is_v4();
  if (prefix.bits > (v4 ? 32 : 128)) return false;
  const auto bits = static_cast<std::uint8_t>(prefix.bits + (v4 ? 96 : 0));
  const IpAddress address = masked_wide(prefix.address, bits);
  Entry* const set = &entries_[set_of(listener_id, address, bits)];
  const auto same = [&](const Entry& e) {
    return e.used && e.listener_id == listener_id && e.bits == bits && e.prefix == address;
  };
  Entry* victim = std::find_if(set, set + kWays, same);
  if (victim == set + kWays) {
    const auto ends_first = [](const Entry& a, const Entry& b) {
      return std::pair{a.used, a.until} < std::pair{b.used, b.until};
    };
    victim = std::min_element(set, set + kWays, ends_first);
  }
  *victim = {address, until, listener_id, bits, decision, true};
  lengths_[bits / 64] |= 1ull << (bits % 64);
  return true;
}

std::optional<control::Decision> DecisionCache::find(std::uint32_t listener_id, const IpAddress& source,
                                                     Instant now) const {
  for (std::size_t word = lengths_.size(); word-- > 0;) {
    for (std::uint64_t rest = lengths_[word]; rest != 0;) {
      const std::size_t top = 63 - static_cast<std::size_t>(std::countl_zero(rest));
      rest &= ~(1ull << top);
      const auto bits = static_cast<std::uint8_t>(word * 64 + top);
      const IpAddress address = masked_wide(source, bits);
      const Entry* const set = &entries_[set_of(listener_id, address, bits)];
      for (const Entry* e = set; e != set + kWays; ++e)
        if (e->used && e->until > now && e->listener_id == listener_id && e->bits == bits && e->prefix == address)
          return e->decision;
    }
  }
  return std::nullopt;
}

void DecisionCache::clear() {
  std::fill(entries_.begin(), entries_.end(), Entry{});
  lengths_.fill(0);
}

}  // namespace penstock::flow
