// Any octets in any chunks: nothing outside is read, and what is cut is whole: every piece parses, fits the MTU, and
// all payload is there once.
#include <algorithm>
#include <vector>

#include "dataplane/core/require.h"
#include "dataplane/io/large.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/packet_info.h"

using namespace penstock;

// The first octet says how long chunks are, the second adds to the smallest MTU; a frame follows.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) return 0;
  const std::size_t chunk = 64 + 8 * std::size_t{data[0]};
  const std::size_t mtu = 576 + 4 * std::size_t{data[1]};
  const std::vector<std::byte> whole(reinterpret_cast<const std::byte*>(data) + 2,
                                     reinterpret_cast<const std::byte*>(data) + size);
  std::vector<std::vector<std::byte>> copies;  // apart from each other, so that a sanitizer sees a step beyond
  for (std::size_t at = 0; at < whole.size(); at += chunk)
    copies.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(at),
                        whole.begin() + static_cast<std::ptrdiff_t>(std::min(at + chunk, whole.size())));
  std::vector<ByteView> chunks(copies.begin(), copies.end());
  io::LargeSegment large;
  const bool whole_sums = (data[1] & 1) != 0;
  if (!large.read(chunks, mtu, whole_sums)) return 0;
  std::vector<std::byte> all;
  std::size_t headers = 0;
  for (std::size_t i = 0; i < large.pieces(); ++i) {
    std::vector<std::byte> piece(mtu + 18);
    piece.resize(large.write_next(piece));
    const auto info = wire::parse_packet(piece);
    require(info.reason() == DropReason::none, "a piece does not parse");
    require(info->ip_octets <= mtu && info->payload_octets > 0, "a piece is too long or empty");
    const ByteView segment = ByteView{piece}.subspan(info->l4_offset);
    const std::uint64_t pseudo =
        wire::pseudo_header_sum(info->src, info->dst, IpProto::tcp, static_cast<std::uint32_t>(segment.size()));
    require(whole_sums ? wire::sum_is_valid(wire::add_sums(pseudo, wire::sum_of(segment)))
                       : wire::is_partial(load_be<std::uint16_t>(segment, 16), pseudo),
            "a piece's checksum is not what was asked for");
    headers = info->payload_offset;
    all.insert(all.end(), piece.begin() + static_cast<std::ptrdiff_t>(headers), piece.end());
  }
  require(std::equal(all.begin(), all.end(), whole.begin() + static_cast<std::ptrdiff_t>(headers), whole.end()),
          "the pieces' payload is not the segment's");
  return 0;
}
