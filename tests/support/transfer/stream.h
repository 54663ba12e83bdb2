// stream.h - the two directions of one connection as positions: what is to be sent next, what was received.
//
// Model     out: prefix, payload made from its position, suffix. in: prefix and suffix are kept, the payload is
//           compared as it comes. A direction is done when every part has passed.
// Limits    prefix and suffix have at most kSmall octets.
// Not here  sockets (connection.h).
#pragma once
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "tests/support/transfer/payload.h"
#include "tests/support/transfer/request.h"

namespace penstock::transfer {

inline constexpr std::size_t kSmall = 128;
static_assert(sizeof(Request) <= kSmall && sizeof(Report) <= kSmall);

/// A structure's octets, as prefix or suffix.
class Small {
 public:
  Small() = default;
  template <typename T>
  explicit Small(const T& value) : size_{sizeof value} {
    std::memcpy(octets_.data(), &value, sizeof value);
  }
  static Small empty(std::size_t size) {
    Small out;
    out.size_ = size;
    return out;
  }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::byte* data() { return octets_.data(); }
  [[nodiscard]] const std::byte* data() const { return octets_.data(); }
  template <typename T>
  [[nodiscard]] T as() const {
    T value;
    std::memcpy(&value, octets_.data(), sizeof value);
    return value;
  }

 private:
  std::array<std::byte, kSmall> octets_{};
  std::size_t size_{};
};

struct OutStream {
  Small prefix, suffix;
  std::uint64_t payload{}, key{}, position{};

  [[nodiscard]] std::uint64_t end() const { return prefix.size() + payload + suffix.size(); }
  [[nodiscard]] bool done() const { return position == end(); }
  [[nodiscard]] std::uint64_t payload_sent() const {
    return std::min(payload, position - std::min<std::uint64_t>(position, prefix.size()));
  }
  /// The next octets, as many as fit and are of one part.
  [[nodiscard]] std::size_t render(std::span<std::byte> out) const {
    if (position < prefix.size()) return copy(out, prefix, position);
    const std::uint64_t at = position - prefix.size();
    if (at >= payload) return copy(out, suffix, at - payload);
    const std::size_t count = std::min<std::uint64_t>(out.size(), payload - at);
    fill_payload(out.first(count), key, at);
    return count;
  }

 private:
  static std::size_t copy(std::span<std::byte> out, const Small& part, std::uint64_t from) {
    const std::size_t count = std::min<std::uint64_t>(out.size(), part.size() - from);
    std::memcpy(out.data(), part.data() + from, count);
    return count;
  }
};

struct InStream {
  Small prefix, suffix;
  std::uint64_t payload{}, key{}, position{};
  std::uint64_t good{};  ///< octets of payload before the first wrong one
  bool corrupted{};
  std::uint64_t beyond{};  ///< octets behind the end

  [[nodiscard]] bool prefix_done() const { return position >= prefix.size(); }
  [[nodiscard]] bool done() const { return position == prefix.size() + payload + suffix.size(); }
  [[nodiscard]] std::uint64_t payload_received() const {
    return std::min(payload, position - std::min<std::uint64_t>(position, prefix.size()));
  }
  /// Takes octets of one part; how many. The caller looks at prefix_done() between two calls.
  std::size_t take(std::span<const std::byte> in) {
    if (position < prefix.size()) return keep(in, prefix, position);
    const std::uint64_t at = position - prefix.size();
    if (at >= payload) {
      const std::size_t kept = keep(in, suffix, at - payload);
      if (kept == 0) beyond += in.size();
      return kept == 0 ? in.size() : kept;
    }
    const std::size_t count = std::min<std::uint64_t>(in.size(), payload - at);
    if (!corrupted) {
      const auto wrong = payload_mismatch(in.first(count), key, at);
      corrupted = wrong.has_value();
      good = wrong.value_or(at + count);
    }
    position += count;
    return count;
  }

 private:
  std::size_t keep(std::span<const std::byte> in, Small& part, std::uint64_t from) {
    const std::size_t count = std::min<std::uint64_t>(in.size(), part.size() - from);
    std::memcpy(part.data() + from, in.data(), count);
    position += count;
    return count;
  }
};

}  // namespace penstock::transfer
