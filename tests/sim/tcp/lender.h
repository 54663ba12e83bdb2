// lender.h - device buffers that a simulated application fills and lends to the engine.
//
// Model     payload stands behind room for headers, as in a received frame. What comes back is overwritten at once, so
//           that whoever still reads it is found out by the stream's check.
// Errors    no buffer or no name for it: kNoIndex, and the caller copies instead.
#pragma once
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "dataplane/tcp/endpoint.h"

namespace penstock::tcpsim {

class Lender {
 public:
  static constexpr std::uint16_t kHeaders = 54, kPayloadMax = tcp::kLargePayloadMax;

  explicit Lender(tcp::Pools& pools) : pools_{pools}, buffers_(kBuffers) {
    for (Buffer& buffer : buffers_) free_.push_back(&buffer);
  }
  /// A block with `bytes` at offset kHeaders; one reference is the caller's.
  [[nodiscard]] tcp::Index lend(ByteView bytes) {
    if (free_.empty() || bytes.size() > kPayloadMax) return tcp::kNoIndex;
    Buffer& buffer = *free_.back();
    std::memcpy(buffer.data() + kHeaders, bytes.data(), bytes.size());
    const auto octets = static_cast<std::uint16_t>(kHeaders + bytes.size());
    const RawFrame raw{.data = buffer.data(),
                       .handle = &buffer,
                       .octets = octets,
                       .headroom = 0,
                       .tailroom = static_cast<std::uint16_t>(buffer.size() - octets)};
    const tcp::Index index = pools_.lend(raw);
    if (index != tcp::kNoIndex) free_.pop_back();
    return index;
  }
  /// Takes back what nobody refers to any more.
  void reclaim() {
    for (RawFrame raw; pools_.take_returned(raw);) {
      auto* buffer = static_cast<Buffer*>(raw.handle);
      std::fill(buffer->begin(), buffer->end(), std::byte{0xdd});
      free_.push_back(buffer);
    }
  }
  [[nodiscard]] bool all_back() const { return free_.size() == kBuffers; }

 private:
  static constexpr std::size_t kBuffers = 128;
  using Buffer = std::array<std::byte, kHeaders + kPayloadMax>;
  tcp::Pools& pools_;
  std::vector<Buffer> buffers_;
  std::vector<Buffer*> free_;
};

}  // namespace penstock::tcpsim
