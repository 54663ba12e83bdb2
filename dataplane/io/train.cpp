#include "dataplane/io/train.h"

#include <algorithm>
#include <cstring>

#include "dataplane/wire/checksum.h"
#include "dataplane/wire/packet_info.h"

namespace penstock::io {
namespace {

constexpr std::size_t kIp = 14;
constexpr std::uint32_t kIpOctetsMax = 65'535;
// Offsets in the TCP header.
constexpr std::size_t kSeq = 4, kAck = 8, kFlags = 13, kWindow = 14, kChecksum = 16, kUrgent = 18;

std::uint16_t be16(ByteView bytes, std::size_t at) { return load_be<std::uint16_t>(bytes, at).host(); }
std::uint32_t seq_of(ByteView frame, const Train& train) {
  return load_be<std::uint32_t>(frame, train.l4_offset + kSeq).host();
}
std::uint8_t flags_of(ByteView frame, const Train& train) {
  return std::to_integer<std::uint8_t>(frame[train.l4_offset + kFlags]);
}

/// The shape of the first frame; no payload when it cannot begin a train.
Train shape_of(ByteView frame) {
  Train train;
  wire::PacketInfo info;
  if (wire::parse_packet_into(frame, info) != DropReason::none || info.kind != wire::PacketKind::transport ||
      info.proto != IpProto::tcp || (info.tcp_flags & ~wire::kTcpPsh) != wire::kTcpAck || info.l3_offset != kIp)
    return train;
  train.v4 = info.family == IpFamily::v4;
  train.l4_offset = info.l4_offset;
  train.headers = info.payload_offset;
  const bool plain = train.l4_offset == kIp + (train.v4 ? 20 : 40) && frame.size() == kIp + info.ip_octets;
  if (!plain) return train;
  train.segment = info.payload_octets;
  train.payload = info.payload_octets;
  return train;
}

bool same(ByteView a, ByteView b, std::size_t from, std::size_t to) {
  return std::memcmp(a.data() + from, b.data() + from, to - from) == 0;
}

bool same_ip(ByteView first, ByteView next, const Train& train) {
  if (!same(first, next, 0, kIp)) return false;
  const std::size_t octets = next.size() - kIp;
  if (train.v4)
    return same(first, next, kIp, kIp + 2) && be16(next, kIp + 2) == octets && same(first, next, kIp + 6, kIp + 10) &&
           same(first, next, kIp + 12, kIp + 20);
  return same(first, next, kIp, kIp + 4) && be16(next, kIp + 4) == octets - 40 && same(first, next, kIp + 6, kIp + 40);
}

/// Pseudo-header without the length, of the family that `train` has.
std::uint64_t fixed_pseudo_sum(ByteView frame, const Train& train) {
  const std::uint64_t addresses =
      train.v4 ? wire::sum_of(frame.subspan(kIp + 12, 8)) : wire::sum_of(frame.subspan(kIp + 8, 32));
  return wire::add_sums(addresses, Be16::from_host(static_cast<std::uint16_t>(IpProto::tcp)).wire());
}

/// A train gets one new checksum, which would hide that a segment was damaged on its way here.
bool checksum_holds(ByteView frame, const Train& train, std::uint64_t pseudo) {
  if (train.v4 && !wire::sum_is_valid(wire::sum_of(frame.subspan(kIp, 20)))) return false;
  const ByteView segment = frame.subspan(train.l4_offset);
  pseudo = wire::add_sums(pseudo, Be32::from_host(static_cast<std::uint32_t>(segment.size())).wire());
  return wire::is_partial(load_be<std::uint16_t>(segment, kChecksum), pseudo) ||
         wire::sum_is_valid(wire::add_sums(pseudo, wire::sum_of(segment)));
}

/// Everything but flags, sequence number and checksum.
bool same_tcp(ByteView first, ByteView next, const Train& train) {
  const std::size_t tcp = train.l4_offset;
  return same(first, next, tcp, tcp + kSeq) && same(first, next, tcp + kAck, tcp + kFlags) &&
         same(first, next, tcp + kWindow, tcp + kChecksum) && same(first, next, tcp + kUrgent, train.headers);
}

}  // namespace

bool is_above(ByteView frame, std::size_t mtu) {
  if (frame.size() <= kIp + mtu) return false;
  const std::uint16_t type = be16(frame, kIp - 2);
  const bool tagged = type == 0x8100 || type == 0x88a8;
  return frame.size() > kIp + (tagged ? 4 : 0) + mtu;
}

void complete_checksum(ByteSpan frame) {
  wire::PacketInfo info;
  if (wire::parse_packet_into(frame, info) != DropReason::none || info.kind != wire::PacketKind::transport ||
      info.proto != IpProto::tcp)
    return;
  const std::size_t octets = std::size_t{info.payload_offset} - info.l4_offset + info.payload_octets;
  const ByteSpan segment = frame.subspan(info.l4_offset, octets);
  const std::uint64_t pseudo =
      wire::pseudo_header_sum(info.src, info.dst, IpProto::tcp, static_cast<std::uint32_t>(octets));
  if (!wire::is_partial(load_be<std::uint16_t>(segment, kChecksum), pseudo)) return;
  // What is there already is part of the sum.
  store_be(segment, kChecksum, wire::checksum_from(wire::sum_of(segment)));
}

Train find_train(std::span<const Frame> frames, std::size_t mtu) {
  const bool large = is_above(frames[0].bytes(), mtu);
  // A small one in front, as the head of a message, is worth a look for what follows it.
  if (!large && (frames.size() < 2 || std::max(frames[0].octets(), frames[1].octets()) < kTrainFrameOctets)) return {};
  const ByteView first = frames[0].bytes();
  Train train = shape_of(first);
  if (!train.found()) return train;
  const bool pushed = (flags_of(first, train) & wire::kTcpPsh) != 0;
  if (pushed && !large) return {};
  const std::uint64_t pseudo = fixed_pseudo_sum(first, train);
  if (!checksum_holds(first, train, pseudo)) return {};
  const std::size_t most = pushed ? 1 : std::min(frames.size(), kTrainFramesMax);
  for (const Frame& frame : frames.subspan(1, most - 1)) {
    const ByteView next = frame.bytes();
    if (next.size() <= train.headers) break;
    const auto payload = static_cast<std::uint32_t>(next.size() - train.headers);
    const std::uint8_t flags = flags_of(next, train);
    if (train.headers - kIp + train.payload + payload > kIpOctetsMax || (flags & ~wire::kTcpPsh) != wire::kTcpAck ||
        seq_of(next, train) != seq_of(first, train) + train.payload || !same_ip(first, next, train) ||
        !same_tcp(first, next, train) || !checksum_holds(next, train, pseudo))
      break;
    train.segment = std::max(train.segment, static_cast<std::uint16_t>(payload));
    train.payload += payload;
    ++train.frames;
    if ((flags & wire::kTcpPsh) != 0) break;
  }
  if (train.frames == 1 && !large) return {};
  train.segment = static_cast<std::uint16_t>(std::min<std::size_t>(train.segment, mtu - (train.headers - kIp)));
  return train;
}

void write_train_headers(const Train& train, std::span<const Frame> frames,
                         std::array<std::byte, kTrainHeaderOctetsMax>& into) {
  const ByteView first = frames[0].bytes();
  const ByteView last = frames[train.frames - 1].bytes();
  std::copy_n(first.begin(), train.headers, into.begin());
  const ByteSpan headers{into.data(), train.headers};
  const std::uint32_t tcp_octets = train.headers - train.l4_offset + train.payload;
  if (train.v4) {
    store_be(headers, kIp + 2, Be16::from_host(static_cast<std::uint16_t>(20 + tcp_octets)));
    store_be(headers, kIp + 10, Be16::from_host(0));
    store_be(headers, kIp + 10, wire::checksum_from(wire::sum_of(headers.subspan(kIp, 20))));
  } else {
    store_be(headers, kIp + 4, Be16::from_host(static_cast<std::uint16_t>(tcp_octets)));
  }
  headers[train.l4_offset + kFlags] = last[train.l4_offset + kFlags];
  // As the kernel leaves a checksum to a device: the pseudo-header's sum, not complemented.
  const std::uint16_t partial =
      wire::fold(wire::add_sums(fixed_pseudo_sum(headers, train), Be32::from_host(tcp_octets).wire()));
  store_be(headers, train.l4_offset + kChecksum, Be16::from_wire(partial));
}

}  // namespace penstock::io
