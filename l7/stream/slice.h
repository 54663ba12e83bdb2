// slice.h - octets of a byte stream, and how to name them without copying.
//
// Model     a connection's direction is an endless row of octets. The TCP leg hands them over as Slices, in order;
//           a codec answers with Ranges: from which position, how many. Whoever owns the memory turns a Range back
//           into buffers, so bodies are relayed and never copied here.
// Units     positions and lengths are octets; position 0 is the first octet of the direction.
// Errors    none: plain values.
// Not here  the memory itself (the TCP leg keeps it until the Range was sent).
#pragma once
#include <cstdint>
#include <string_view>

#include "dataplane/core/be.h"

namespace penstock::stream {

using Position = std::uint64_t;

/// A run of octets of one direction, named by its place.
struct Range {
  Position where{};
  std::uint64_t octets{};
  [[nodiscard]] Position end() const { return where + octets; }
  friend bool operator==(const Range&, const Range&) = default;
};

/// Octets that are in memory now; the view ends with the call that received it.
struct Slice {
  std::string_view octets;
  Position where{};
  /// Without the first `count` octets.
  [[nodiscard]] Slice from(std::size_t count) const { return {octets.substr(count), where + count}; }
};

/// The payload of a segment as text, which the codecs read.
[[nodiscard]] inline std::string_view text_of(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace penstock::stream
