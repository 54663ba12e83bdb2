#include "dataplane/tcp/isn.h"

#include <cstring>

namespace penstock::tcp {

KeyBytes::KeyBytes(const ConnectionKey& key) {
  std::memcpy(bytes.data(), key.local.octets.data(), 16);
  std::memcpy(bytes.data() + 16, key.remote.octets.data(), 16);
  store_be(ByteSpan{bytes}, 32, key.local_port);
  store_be(ByteSpan{bytes}, 34, key.remote_port);
}

SeqNum initial_sequence(const Secrets& secrets, const ConnectionKey& key, Instant now) {
  const auto clock = static_cast<std::uint32_t>(to_nanoseconds(now) / 4000);
  return SeqNum{clock + static_cast<std::uint32_t>(siphash(secrets.isn, KeyBytes{key}.bytes))};
}

std::uint32_t timestamp_offset(const Secrets& secrets, const ConnectionKey& key) {
  return static_cast<std::uint32_t>(siphash(secrets.timestamp, KeyBytes{key}.bytes));
}

}  // namespace penstock::tcp
