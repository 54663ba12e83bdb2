#include "dataplane/tcp/cookies.h"

#include <algorithm>
#include <cstring>

#include "dataplane/tcp/pmtu.h"
#include "dataplane/tcp/stamp.h"

namespace penstock::tcp {
namespace {

constexpr std::uint32_t kTickSeconds = 64;
constexpr std::uint32_t kTicksMask = 31;
// Common sizes: 536 and 1220 without option, tunnels, PPPoE, Ethernet of both families, jumbo.
constexpr std::array<std::uint16_t, 8> kMssClasses{536, 1220, 1300, 1360, 1400, 1440, 1460, 8940};
constexpr std::uint32_t kOptionMask = 0x1f;  // low bits of TSval: shift (15: none) and SACK
constexpr std::uint32_t kNoShift = 15;

std::uint32_t tick_of(Instant now) {
  return static_cast<std::uint32_t>(to_nanoseconds(now) / 1'000'000'000 / kTickSeconds);
}

std::uint32_t hash_of(const Secrets& secrets, const ConnectionKey& key, SeqNum client, std::uint32_t tick,
                      std::uint32_t mss_class) {
  std::array<std::byte, 48> bytes{};
  const KeyBytes ends{key};
  std::memcpy(bytes.data(), ends.bytes.data(), ends.bytes.size());
  store_be(ByteSpan{bytes}, 36, Be32::from_host(client.value()));
  store_be(ByteSpan{bytes}, 40, Be32::from_host(tick));
  store_be(ByteSpan{bytes}, 44, Be32::from_host(mss_class));
  return static_cast<std::uint32_t>(siphash(secrets.cookie, bytes)) & 0xffffff;
}

/// The largest class that the peer accepts; the smallest if none does.
std::uint32_t class_of(std::uint16_t mss) {
  std::uint32_t best = 0;
  for (std::uint32_t i = 0; i < kMssClasses.size(); ++i)
    if (kMssClasses[i] <= mss) best = i;
  return best;
}

/// Our clock with its low bits replaced, never ahead of the clock itself.
std::uint32_t stamp_with(std::uint32_t clock, std::uint32_t bits) {
  const std::uint32_t value = (clock & ~kOptionMask) | bits;
  return static_cast<std::int32_t>(value - clock) > 0 ? value - kOptionMask - 1 : value;
}

}  // namespace

SegmentOut cookie_syn_ack(const Secrets& secrets, const Limits& limits, const ConnectionKey& key, const SegmentIn& syn,
                          std::uint16_t mtu, Instant now) {
  const Options& asked = syn.options;
  const bool v4 = key.local.is_v4();
  const std::uint32_t tick = tick_of(now);
  const std::uint32_t mss_class = class_of(asked.has_mss ? asked.mss : (v4 ? kMssDefaultV4 : kMssDefaultV6));
  const std::uint32_t hash = hash_of(secrets, key, syn.seq, tick, mss_class);
  SegmentOut out;
  out.seq = SeqNum{(tick & kTicksMask) << 27 | mss_class << 24 | hash};
  out.ack = syn.seq + SeqSpan{1};
  out.flags = kTcpSyn | kTcpAck;
  out.window = static_cast<std::uint16_t>(std::min<std::uint32_t>(limits.receive_budget_octets, 0xffff));
  Options options;
  Pmtu own;
  own.open(v4, mtu);
  options.has_mss = true;
  options.mss = own.offered();
  options.has_timestamps = limits.timestamps && asked.has_timestamps;
  if (options.has_timestamps) {
    options.has_window_shift = limits.window_scaling && asked.has_window_shift;
    options.window_shift = limits.window_shift;
    options.sack_permitted = limits.sack && asked.sack_permitted;
    const std::uint32_t bits =
        (options.has_window_shift ? asked.window_shift : kNoShift) | (options.sack_permitted ? 0x10u : 0u);
    options.ts_value = stamp_with(milliseconds_of(now) + timestamp_offset(secrets, key), bits);
    options.ts_echo = asked.ts_value;
  }
  out.options = write_syn_options(options);
  return out;
}

std::optional<CookieGrant> check_cookie(const Secrets& secrets, const Limits& limits, const ConnectionKey& key,
                                        const SegmentIn& ack, Instant now) {
  if (!ack.is(kTcpAck) || ack.is(kTcpSyn) || ack.is(kTcpRst)) return std::nullopt;
  const std::uint32_t cookie = ack.ack.value() - 1;
  const std::uint32_t age = (tick_of(now) - (cookie >> 27)) & kTicksMask;
  if (age > 1) return std::nullopt;
  const std::uint32_t mss_class = cookie >> 24 & 7;
  const SeqNum client = ack.seq - SeqSpan{1};
  if (hash_of(secrets, key, client, tick_of(now) - age, mss_class) != (cookie & 0xffffff)) return std::nullopt;
  CookieGrant out;
  out.mss = kMssClasses[mss_class];
  out.timestamps = limits.timestamps && ack.options.has_timestamps;
  if (out.timestamps) {
    const std::uint32_t bits = ack.options.ts_echo & kOptionMask;
    out.sack = (bits & 0x10) != 0;
    out.window_scaling = (bits & 0xf) != kNoShift;
    out.peer_shift = out.window_scaling ? static_cast<std::uint8_t>(bits & 0xf) : std::uint8_t{0};
  }
  return out;
}

}  // namespace penstock::tcp
