// large.h - a large TCP segment, as segmentation offload makes it, cut into the segments that it stands for.
//
// Model     the reverse of a train (train.h): a device that delivers large segments, in chunks, gives up to 64 KiB
//           with one set of headers. Everything behind io deals in frames that fit a buffer, so they are cut on
//           arrival.
// Shape     Ethernet, at most one VLAN tag, IPv4 or IPv6, TCP. The first chunk holds all headers. Pieces have `segment`
//           octets of payload but the last; their sequence numbers and identifications continue, PSH and FIN stand on
//           the last, CWR on the first, checksums are partial, as a local kernel leaves them, or whole if asked for.
// Errors    read() says no to what is not such a segment, whose length fields disagree with what arrived, or whose
//           checksum is neither partial nor right: a new one would hide the damage.
// Not here  the size that the sender meant, which XDP does not tell: pieces are as large as the caller says.
//           Only for connections that end here; a peer's smaller MSS would not be respected.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "dataplane/core/be.h"

namespace penstock::io {

/// Chunks of one segment: 64 KiB in buffers of at least kChunkOctetsMin.
inline constexpr std::size_t kChunkOctetsMin = 1024;
inline constexpr std::size_t kChunksMax = 65'536 / kChunkOctetsMin;

class LargeSegment {
 public:
  /// `mtu`: what an IP packet may have. `whole_sums`: for who verifies checksums. False: not to be cut.
  [[nodiscard]] bool read(std::span<const ByteView> chunks, std::size_t mtu, bool whole_sums = false);
  [[nodiscard]] std::size_t pieces() const { return pieces_; }
  /// Writes the next piece; returns its octets. Called pieces() times; `into` has room for mtu and the link's header.
  std::size_t write_next(ByteSpan into);

 private:
  void copy_payload(ByteSpan into);
  void write_headers(ByteSpan frame, std::size_t payload, bool last) const;
  [[nodiscard]] bool checksum_holds(std::size_t octets) const;

  std::span<const ByteView> chunks_;
  std::size_t chunk_{};   ///< where the payload goes on
  std::size_t offset_{};  ///< in that chunk
  std::size_t payload_{};
  std::size_t written_{};
  std::size_t pieces_{};
  std::uint64_t pseudo_{};  ///< without the length
  std::uint16_t segment_{};
  std::uint8_t l3_{};
  std::uint8_t l4_{};
  std::uint8_t headers_{};
  bool v4_{};
  bool whole_sums_{};
};

}  // namespace penstock::io
