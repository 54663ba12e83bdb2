#include "dataplane/io/large.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::io {
namespace {

constexpr std::size_t kHeadersMax = 18 + 60 + 60;  // Ethernet with a tag, IP, TCP
constexpr std::size_t kSeq = 4, kFlags = 13, kChecksum = 16;
constexpr std::uint8_t kCwr = 0x80;

std::uint16_t be16(ByteView bytes, std::size_t at) { return load_be<std::uint16_t>(bytes, at).host(); }
void put16(ByteSpan bytes, std::size_t at, std::size_t value) {
  store_be(bytes, at, Be16::from_host(static_cast<std::uint16_t>(value)));
}

}  // namespace

bool LargeSegment::read(std::span<const ByteView> chunks, std::size_t mtu, bool whole_sums) {
  *this = LargeSegment{};
  whole_sums_ = whole_sums;
  const ByteView first = chunks.front();
  std::size_t octets = 0;
  for (const ByteView chunk : chunks) octets += chunk.size();
  // The headers alone, with lengths that fit them, for the one parser.
  std::array<std::byte, kHeadersMax> copy;
  const std::size_t looked_at = std::min(first.size(), copy.size());
  if (looked_at < 18 + 40 + 20) return false;
  std::copy_n(first.begin(), looked_at, copy.begin());
  const ByteSpan head{copy.data(), looked_at};
  const bool tagged = be16(head, 12) == 0x8100 || be16(head, 12) == 0x88a8;
  const std::size_t l3 = tagged ? 18 : 14;
  v4_ = be16(head, l3 - 2) == 0x0800;
  const std::size_t promised = v4_ ? be16(head, l3 + 2) : be16(head, l3 + 4) + std::size_t{40};
  if (promised != octets - l3) return false;
  put16(head, v4_ ? l3 + 2 : l3 + 4, looked_at - l3 - (v4_ ? 0 : 40));
  wire::PacketInfo info;
  if (wire::parse_packet_into(head, info) != DropReason::none || info.kind != wire::PacketKind::transport ||
      info.proto != IpProto::tcp || (info.tcp_flags & (wire::kTcpSyn | wire::kTcpRst | wire::kTcpUrg)) != 0)
    return false;
  l3_ = info.l3_offset;
  l4_ = info.l4_offset;
  headers_ = info.payload_offset;
  if (headers_ > first.size() || octets <= headers_ || mtu <= std::size_t{headers_} - l3_) return false;
  chunks_ = chunks;
  offset_ = headers_;
  payload_ = octets - headers_;
  segment_ = static_cast<std::uint16_t>(mtu - (headers_ - l3_));
  pieces_ = (payload_ + segment_ - 1) / segment_;
  const std::uint64_t addresses =
      v4_ ? wire::sum_of(first.subspan(l3 + 12, 8)) : wire::sum_of(first.subspan(l3 + 8, 32));
  pseudo_ = wire::add_sums(addresses, Be16::from_host(static_cast<std::uint16_t>(IpProto::tcp)).wire());
  if (v4_ && !wire::sum_is_valid(wire::sum_of(first.subspan(l3, std::size_t{l4_} - l3)))) return false;
  return checksum_holds(octets - l4_);
}

bool LargeSegment::checksum_holds(std::size_t octets) const {
  const std::uint64_t pseudo = wire::add_sums(pseudo_, Be32::from_host(static_cast<std::uint32_t>(octets)).wire());
  if (wire::is_partial(load_be<std::uint16_t>(chunks_.front(), l4_ + kChecksum), pseudo)) return true;
  std::uint64_t sum = pseudo;
  std::size_t at = 0;  // parity of what was summed
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    const ByteView part = i == 0 ? chunks_[i].subspan(l4_) : chunks_[i];
    std::uint16_t one = wire::fold(wire::sum_of(part));
    if (at % 2 != 0) one = static_cast<std::uint16_t>(one << 8 | one >> 8);
    sum = wire::add_sums(sum, one);
    at += part.size();
  }
  return wire::sum_is_valid(sum);
}

void LargeSegment::copy_payload(ByteSpan into) {
  while (!into.empty()) {
    const ByteView from = chunks_[chunk_].subspan(offset_);
    const std::size_t taken = std::min(from.size(), into.size());
    std::memcpy(into.data(), from.data(), taken);
    into = into.subspan(taken);
    offset_ += taken;
    if (offset_ == chunks_[chunk_].size()) {
      ++chunk_;
      offset_ = 0;
    }
  }
}

void LargeSegment::write_headers(ByteSpan frame, std::size_t payload, bool last) const {
  std::copy_n(chunks_.front().begin(), headers_, frame.begin());
  const std::size_t tcp_octets = headers_ - l4_ + payload;
  if (v4_) {
    put16(frame, l3_ + 2, tcp_octets + (l4_ - l3_));
    put16(frame, l3_ + 4, be16(frame, l3_ + 4) + written_ / segment_);
    put16(frame, l3_ + 10, 0);
    store_be(frame, l3_ + 10, wire::checksum_from(wire::sum_of(frame.subspan(l3_, std::size_t{l4_} - l3_))));
  } else {
    put16(frame, l3_ + 4, tcp_octets);
  }
  store_be(frame, l4_ + kSeq,
           Be32::from_host(load_be<std::uint32_t>(frame, l4_ + kSeq).host() + static_cast<std::uint32_t>(written_)));
  auto flags = std::to_integer<std::uint8_t>(frame[l4_ + kFlags]);
  if (!last) flags &= static_cast<std::uint8_t>(~(wire::kTcpFin | wire::kTcpPsh));
  if (written_ != 0) flags &= static_cast<std::uint8_t>(~kCwr);
  frame[l4_ + kFlags] = std::byte{flags};
  const std::uint64_t pseudo = wire::add_sums(pseudo_, Be32::from_host(static_cast<std::uint32_t>(tcp_octets)).wire());
  store_be(frame, l4_ + kChecksum, Be16::from_wire(wire::fold(pseudo)));
}

std::size_t LargeSegment::write_next(ByteSpan into) {
  const std::size_t payload = std::min<std::size_t>(segment_, payload_ - written_);
  write_headers(into, payload, written_ + payload == payload_);
  copy_payload(into.subspan(headers_, payload));
  written_ += payload;
  // A partial checksum is part of the sum that completes it.
  if (whole_sums_)
    store_be(into, l4_ + kChecksum, wire::checksum_from(wire::sum_of(into.subspan(l4_, headers_ - l4_ + payload))));
  return headers_ + payload;
}

}  // namespace penstock::io
