// be.h - integers as they stand on the wire.
//
// Model     network order is a type: no implicit way in or out, so a forgotten swap does not compile.
// Shape     same size and alignment as the integer inside; trivially copyable.
// Errors    none.
#pragma once
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace penstock {

/// An unsigned integer in network order. Equality only: arithmetic and ordering need host().
template <std::unsigned_integral T>
requires(sizeof(T) == 2 || sizeof(T) == 4) class Be {
 public:
  constexpr Be() = default;
  static constexpr Be from_host(T v) { return Be{swap_if_little(v)}; }
  static constexpr Be from_wire(T raw) { return Be{raw}; }
  [[nodiscard]] constexpr T host() const { return swap_if_little(wire_); }
  [[nodiscard]] constexpr T wire() const { return wire_; }
  friend constexpr bool operator==(Be, Be) = default;

 private:
  explicit constexpr Be(T wire) : wire_{wire} {}
  static constexpr T swap_if_little(T v) {
    if constexpr (std::endian::native == std::endian::big)
      return v;
    else if constexpr (sizeof(T) == 2)
      return __builtin_bswap16(v);
    else
      return __builtin_bswap32(v);
  }
  T wire_{};
};
using Be16 = Be<std::uint16_t>;
using Be32 = Be<std::uint32_t>;

using ByteView = std::span<const std::byte>;
using ByteSpan = std::span<std::byte>;

/// Reads a network-order integer at `offset`. The caller has checked that it is in bounds.
template <std::unsigned_integral T>
[[nodiscard]] inline Be<T> load_be(ByteView bytes, std::size_t offset) {
  T raw;
  std::memcpy(&raw, bytes.data() + offset, sizeof raw);
  return Be<T>::from_wire(raw);
}

/// Writes a network-order integer at `offset`. The caller has checked that it is in bounds.
template <std::unsigned_integral T>
inline void store_be(ByteSpan bytes, std::size_t offset, Be<T> value) {
  const T raw = value.wire();
  std::memcpy(bytes.data() + offset, &raw, sizeof raw);
}

}  // namespace penstock
