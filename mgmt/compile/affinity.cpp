#include "mgmt/compile/affinity.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <random>

#include "l7/policy/keyed_hash.h"

namespace penstock::compile {

policy::Hash128 random_secret() {
  std::random_device device;  // the kernel's
  const auto word = [&] { return std::uint64_t{device()} << 32 | device(); };
  return {word(), word()};
}

policy::Hash128 secret_of(std::string_view key) { return policy::keyed_hash({}, key); }

std::uint64_t affinity_of(const policy::Hash128& secret, std::string_view cluster, const IpAddress& address,
                          std::uint16_t port) {
  std::string text{cluster};
  text += ' ';
  text.append(reinterpret_cast<const char*>(address.octets.data()), address.octets.size());
  text += std::to_string(port);
  const std::uint64_t out = policy::keyed_hash(secret, text).low;
  return out == 0 ? 1 : out;
}

std::string secret_text(const policy::Hash128& secret) {
  std::array<char, 40> out{};
  std::snprintf(out.data(), out.size(), "%016llx%016llx", static_cast<unsigned long long>(secret.low),
                static_cast<unsigned long long>(secret.high));
  return out.data();
}

std::optional<policy::Hash128> read_secret(std::string_view text) {
  if (text.size() != 32) return std::nullopt;
  policy::Hash128 out;
  for (std::size_t i = 0; i < 2; ++i) {
    const char* const begin = text.data() + 16 * i;
    const auto [end, error] = std::from_chars(begin, begin + 16, i == 0 ? out.low : out.high, 16);
    if (error != std::errc{} || end != begin + 16) return std::nullopt;
  }
  return out;
}

}  // namespace penstock::compile
