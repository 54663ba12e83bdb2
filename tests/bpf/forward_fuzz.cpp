// Any frame through bpf/lib/forward.h: a refused one is unchanged, another becomes what dataplane/l4/rewrite.h makes of
// it, and a segment of a spliced flow differs from that in its numbers alone. First 16 octets: control; then the frame.
#include <cstdint>
#include <cstring>
#include <memory>

#include "bpf/lib/forward.h"
#include "dataplane/l4/rewrite.h"
#include "tests/support/flow_pair.h"
#include "tests/support/packet_builder.h"

namespace {

using namespace penstock;
using test::Bytes;

constexpr std::size_t kControlOctets = 16;
const l4::Link kLink{MacAddress{{2, 0, 0, 0, 0, 0xaa}}, MacAddress{{2, 0, 0, 0, 0, 0xbb}}, 0};

std::uint32_t word(const std::uint8_t* at) {
  std::uint32_t out;
  std::memcpy(&out, at, sizeof out);
  return out;
}

test::FlowPair flow_of(const std::uint8_t* control, const wire::PacketInfo& info) {
  IpAddress out[2];
  for (std::uint8_t i = 0; i < 2; ++i) {
    out[i] = info.src.is_v4() ? IpAddress::v4(10, control[8], control[9], i) : IpAddress{{0xfd, control[8], i}};
  }
  return test::flow_pair({info.src, info.src_port}, {info.dst, info.dst_port}, {out[0], test::port(control[10])},
                         {out[1], test::port(control[11])}, info.proto);
}

penstock_forward_slot slot_of(const std::uint8_t* control, const test::FlowPair& flow) {
  penstock_forward_slot out{};
  out.mtu = static_cast<__u16>(control[2] << 8 | control[3]);
  std::memcpy(out.src.octets, flow.reverse.dst.octets.data(), sizeof out.src.octets);
  std::memcpy(out.dst.octets, flow.reverse.src.octets.data(), sizeof out.dst.octets);
  out.src_port.wire = flow.reverse.dst_port.wire();
  out.dst_port.wire = flow.reverse.src_port.wire();
  std::memcpy(out.dst_mac, kLink.destination.octets.data(), sizeof out.dst_mac);
  std::memcpy(out.src_mac, kLink.source.octets.data(), sizeof out.src_mac);
  out.l4_delta = flow.forward.l4_delta;
  const bool v6 = !flow.forward.src.is_v4() != ((control[0] & 2) != 0);
  out.flags =
      static_cast<__u16>((v6 ? PENSTOCK_FORWARD_V6 : 0) | ((control[0] & 1) != 0 ? PENSTOCK_FORWARD_SPLICE : 0));
  out.window_shift = static_cast<__s8>(control[1] % 29 - 14);
  out.seq_delta = word(control + 4);
  out.ack_delta = ~word(control + 4);
  out.tsval_delta = word(control + 12);
  out.tsecr_delta = ~word(control + 12);
  return out;
}

Bytes as_bytes(const std::uint8_t* data, std::size_t size) {
  const auto* begin = reinterpret_cast<const std::byte*>(data);
  return {begin, begin + size};
}

Bytes rewritten(const Bytes& frame, const test::FlowPair& flow) {
  test::TestFrame out{frame};
  const auto done =
      l4::rewrite(out.frame(), *wire::parse_packet(frame), l4::translation_of(flow.forward, flow.reverse), kLink);
  require(done.reason == DropReason::none, "the dataplane refuses what is forwarded");
  return out.content();
}

/// The numbers of a spliced segment stand here: nothing else may differ, and the checksum must be as right as before.
void compare_spliced(Bytes got, Bytes wanted, std::size_t l4, bool timestamps) {
  const bool right = test::problems_of(wanted).empty();
  require(!right || test::problems_of(got).empty(), "checksum of a spliced segment");
  const auto blank = [&](std::size_t from, std::size_t octets) {
    for (Bytes* frame : {&got, &wanted})
      std::fill_n(frame->begin() + static_cast<long>(l4 + from), octets, std::byte{});
  };
  blank(4, 8);   // sequence number and acknowledgement
  blank(14, 4);  // window and checksum
  if (timestamps) blank(24, 8);
  require(got == wanted, "a spliced segment differs in more than its numbers");
}

void try_frame(const std::uint8_t* control, const std::uint8_t* data, std::size_t size) {
  // A copy of exactly this size: the sanitizer sees an access one octet past it.
  const auto copy = std::make_unique<std::uint8_t[]>(size);
  std::memcpy(copy.get(), data, size);
  std::uint8_t* const end = copy.get() + size;
  penstock_packet packet{};
  if (penstock_parse_frame(copy.get(), end, static_cast<std::uint32_t>(size), &packet) != PENSTOCK_PARSED ||
      packet.kind != PENSTOCK_PACKET_FLOW)
    return;
  const Bytes before = as_bytes(copy.get(), size);
  const auto info = wire::parse_packet(before);
  require(info.ok(), "dataplane/wire refuses the frame");
  const test::FlowPair flow = flow_of(control, *info);
  const penstock_forward_slot to = slot_of(control, flow);
  penstock_segment segment{};
  const bool can = penstock_can_forward(copy.get(), end, &to, &segment) != 0;
  require(as_bytes(copy.get(), size) == before, "deciding changes the frame");
  if (!can) return;
  require(!info->tagged() && info->ttl > 1 && info->ip_octets <= to.mtu, "the dataplane would not send it so");
  require(segment.ip_octets == info->ip_octets, "length");
  if (segment.partial) {
    require(segment.octets <= PENSTOCK_FORWARD_SUM_MAX, "too much to sum up");
    segment.sum = wire::fold(wire::sum_of(ByteView{before}.subspan(segment.l4, segment.octets)));
  }
  require(penstock_translate(copy.get(), end, &to, &segment) != 0, "what can be forwarded is");
  const bool numbers = (to.flags & PENSTOCK_FORWARD_SPLICE) != 0 && packet.flow.ip_proto == PENSTOCK_PROTO_TCP;
  const Bytes got = as_bytes(copy.get(), size);
  if (numbers)
    compare_spliced(got, rewritten(before, flow), segment.l4, segment.timestamps != 0);
  else
    require(got == rewritten(before, flow), "not what the dataplane makes of it");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kControlOctets || size > 9000 + kControlOctets) return 0;
  try_frame(data, data + kControlOctets, size - kControlOctets);
  return 0;
}
