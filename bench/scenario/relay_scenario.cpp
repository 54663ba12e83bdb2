#include "bench/scenario/relay_scenario.h"

#include <algorithm>

#include <cstring>
#include <utility>

#include "dataplane/control/snapshot_writer.h"
#include "dataplane/lb/maglev.h"
#include "dataplane/wire/checksum.h"
#include "dataplane/wire/tcp.h"

namespace penstock::bench {
namespace {

constexpr std::size_t kEndpoints = 16;
constexpr std::size_t kBuffers = 16384;
constexpr std::uint32_t kTogether = 16;                 // handshakes under way at once
constexpr std::size_t kLink = 14, kIp = 20, kTcp = 32;  // with timestamps
constexpr std::size_t kHeaders = kLink + kIp + kTcp;
constexpr std::size_t kSynTcp = 40;  // MSS, SACK, timestamps, scale
constexpr MacAddress kPeer{{2, 0, 0, 0, 0, 1}}, kNode{{2, 0, 0, 0, 0, 2}};
constexpr IpAddress kService = IpAddress::v4(10, 96, 0, 10), kNodeAddress = IpAddress::v4(10, 10, 2, 1);

IpAddress endpoint(std::size_t i) { return IpAddress::v4(10, 10, 3, static_cast<std::uint8_t>(1 + i)); }
/// Four octets of the client's address and 16 bits of port name the connection.
IpAddress client(std::uint32_t c) {
  return IpAddress::v4(11, static_cast<std::uint8_t>(c >> 20), static_cast<std::uint8_t>(c >> 12),
                       static_cast<std::uint8_t>(1 + (c >> 10 & 3)));
}
std::uint16_t client_port(std::uint32_t c) { return static_cast<std::uint16_t>(20000 + (c & 1023)); }

std::uint32_t connection_of_client(std::uint32_t address, std::uint16_t port) {
  return (address >> 16 & 0xff) << 20 | (address >> 8 & 0xff) << 12 | ((address & 0xff) - 1) << 10 | (port - 20000u);
}

void put16(std::byte* at, std::uint32_t v) {
  store_be(ByteSpan{at, 2}, 0, Be16::from_host(static_cast<std::uint16_t>(v)));
}
void put32(std::byte* at, std::uint32_t v) { store_be(ByteSpan{at, 4}, 0, Be32::from_host(v)); }
std::uint16_t get16(const std::byte* at) { return load_be<std::uint16_t>(ByteView{at, 2}, 0).host(); }
std::uint32_t get32(const std::byte* at) { return load_be<std::uint32_t>(ByteView{at, 4}, 0).host(); }

}  // namespace

PeerIo::PeerIo(std::uint32_t connections) : pairs_(connections), buffers_(kBuffers) {
  for (Buffer& buffer : buffers_) free_.push_back(&buffer);
  for (auto& ports : of_endpoint_port_) ports.resize(65536);
  queued_.reserve(1 << 20);
}

void PeerIo::queue(std::uint32_t connection, bool from_client, std::uint8_t flags, std::uint16_t payload) {
  queued_.push_back({connection, payload, flags, from_client});
}

PeerIo::Buffer* PeerIo::take() {
  require(!free_.empty(), "the bench has too few buffers");
  Buffer* const buffer = free_.back();
  free_.pop_back();
  buffer->owners = 1;
  return buffer;
}

Frame PeerIo::make(const Queued& q) {
  FarPair& pair = pairs_[q.connection];
  FarPair::End& end = q.from_client ? pair.client : pair.endpoint;
  Buffer* const buffer = take();
  std::byte* const at = buffer->bytes.data() + io::kMadeHeadroom;
  const bool syn = (q.flags & wire::kTcpSyn) != 0;
  const std::size_t tcp_octets = syn ? kSynTcp : kTcp;
  std::memcpy(at, kNode.octets.data(), 6);
  std::memcpy(at + 6, kPeer.octets.data(), 6);
  put16(at + 12, 0x0800);
  std::byte* const ip = at + kLink;
  put32(ip, 0x45000000u + static_cast<std::uint32_t>(kIp + tcp_octets + q.payload));
  put32(ip + 4, 0x00004000u);
  put32(ip + 8, 0x40060000u);
  const IpAddress src = q.from_client ? client(q.connection) : endpoint(pair.endpoint_index);
  put32(ip + 12, src.as_v4().host());
  put32(ip + 16, (q.from_client ? kService : kNodeAddress).as_v4().host());
  std::byte* const tcp = ip + kIp;
  put16(tcp, q.from_client ? client_port(q.connection) : 8080u);
  put16(tcp + 2, q.from_client ? 80u : pair.node_port);
  put32(tcp + 4, end.nxt);
  put32(tcp + 8, (q.flags & wire::kTcpAck) != 0 ? end.rcv : 0);
  tcp[12] = static_cast<std::byte>(tcp_octets / 4 << 4);
  tcp[13] = static_cast<std::byte>(q.flags);
  put16(tcp + 14, 60000);
  put32(tcp + 16, 0);
  // Partial, as a local kernel leaves it on a veth.
  const std::uint64_t pseudo = wire::pseudo_header_sum(src, q.from_client ? kService : kNodeAddress, IpProto::tcp,
                                                       static_cast<std::uint32_t>(tcp_octets) + q.payload);
  store_be(ByteSpan{tcp + 16, 2}, 0, Be16::from_wire(wire::fold(pseudo)));
  std::byte* options = tcp + 20;
  if (syn) {
    put32(options, 0x020405b4u);
    put32(options + 4, 0x04020103u);  // SACK permitted, then no-operation and the scale's kind and length
    put32(options + 8, 0x03070101u);
    options[6] = std::byte{3};  // kind, length, shift
    options[7] = std::byte{3};
    options[8] = std::byte{7};
    options[9] = std::byte{1};
    options += 8;
    options[2] = std::byte{8};
    options[3] = std::byte{10};
  } else {
    put32(options, 0x0101080au);
  }
  put32(options + 4, ++clock_);  // which only rises, also when the sequence numbers wrap
  put32(options + 8, end.echo);
  end.nxt += q.payload + (syn ? 1u : 0u) + ((q.flags & wire::kTcpFin) != 0 ? 1u : 0u);
  const auto octets = static_cast<std::uint16_t>(kLink + kIp + tcp_octets + q.payload);
  return Frame{RawFrame{.data = at,
                        .handle = buffer,
                        .octets = octets,
                        .headroom = io::kMadeHeadroom,
                        .tailroom = static_cast<std::uint16_t>(buffer->bytes.size() - io::kMadeHeadroom - octets),
                        .port = static_cast<PortIndex>(q.from_client ? 0 : 1)}};
}

std::size_t PeerIo::receive(std::span<Frame> into) {
  std::size_t n = 0;
  for (; n < std::min(into.size(), io::kBurstMax) && queued_at_ < queued_.size(); ++n)
    into[n] = make(queued_[queued_at_++]);
  if (queued_at_ == queued_.size()) {
    queued_.clear();
    queued_at_ = 0;
  }
  return n;
}

void PeerIo::overhear(ByteView frame) {
  const std::byte* const tcp = frame.data() + kLink + kIp;
  const std::uint32_t source = get32(frame.data() + kLink + 12);
  const std::uint32_t c = connection_of_client(source, get16(tcp));
  // The way from the node's port to the connection, as for a frame that the worker sends upstream.
  const std::uint32_t found = of_endpoint_port_[pairs_[c].endpoint_index][pairs_[c].node_port];
  FarPair::End& end = pairs_[found].endpoint;
  end.una = get32(tcp + 8);
  end.echo = get32(tcp + 24);
}

/// What the worker sent, as the far end sees it.
void PeerIo::read(ByteView frame, PortIndex port) {
  const std::byte* const ip = frame.data() + kLink;
  const std::byte* const tcp = ip + kIp;
  const auto header = static_cast<std::uint16_t>(std::to_integer<unsigned>(tcp[12]) >> 4 << 2);
  const auto flags = std::to_integer<std::uint8_t>(tcp[13]);
  const auto payload = static_cast<std::uint16_t>(get16(ip + 2) - kIp - header);
  const std::uint16_t from = get16(tcp), to = get16(tcp + 2);
  const std::uint32_t destination = get32(ip + 16);
  std::uint32_t connection = 0;
  if (port == 0) {
    connection = connection_of_client(destination, to);
  } else {
    const std::size_t e = (destination & 0xff) - 1;
    if ((flags & wire::kTcpSyn) != 0) {
      connection = waiting_[waiting_at_++];  // the worker dials in the order in which clients proved themselves
      if (waiting_at_ == waiting_.size()) {
        waiting_.clear();
        waiting_at_ = 0;
      }
      pairs_[connection].node_port = from;
      pairs_[connection].endpoint_index = static_cast<std::uint8_t>(e);
      of_endpoint_port_[e][from] = connection;
    } else {
      connection = of_endpoint_port_[e][from];
    }
  }
  FarPair::End& end = port == 0 ? pairs_[connection].client : pairs_[connection].endpoint;
  const bool syn = (flags & wire::kTcpSyn) != 0, fin = (flags & wire::kTcpFin) != 0;
  if (syn) end.rcv = get32(tcp + 4);
  end.rcv += payload + (syn ? 1u : 0u) + (fin ? 1u : 0u);
  if ((flags & wire::kTcpAck) != 0) end.una = get32(tcp + 8);
  end.finished = end.finished || fin;
  for (const std::byte* o = tcp + 20; o + 10 <= tcp + header;) {
    const auto kind = std::to_integer<std::uint8_t>(*o);
    if (kind == 8) {
      end.echo = get32(o + 2);
      break;
    }
    o += kind <= 1 ? 1 : std::max<std::uint8_t>(std::to_integer<std::uint8_t>(o[1]), 2);
  }
  if (payload != 0) ++sent_payload_segments_;
  if (port == 0)
    answer_client(connection, flags, payload);
  else
    answer_endpoint(connection, flags, payload);
}

void PeerIo::answer_client(std::uint32_t c, std::uint8_t flags, std::uint16_t payload) {
  if ((flags & wire::kTcpSyn) != 0) {
    waiting_.push_back(c);
    return queue(c, true, wire::kTcpAck, static_cast<std::uint16_t>(response_octets != 0 ? 100 : 0));
  }
  if (response_octets != 0 && (flags & wire::kTcpFin) != 0) return queue(c, true, wire::kTcpAck | wire::kTcpFin, 0);
  if (response_octets == 0 && payload != 0 && ack_every != 0) queue(c, true, wire::kTcpAck, 0);
}

void PeerIo::answer_endpoint(std::uint32_t c, std::uint8_t flags, std::uint16_t payload) {
  FarPair::End& end = pairs_[c].endpoint;
  if ((flags & wire::kTcpSyn) != 0) return queue(c, false, wire::kTcpSyn | wire::kTcpAck, 0);
  if (response_octets != 0) {
    if (payload != 0) return queue(c, false, wire::kTcpAck | wire::kTcpPsh | wire::kTcpFin, response_octets);
    if ((flags & wire::kTcpFin) != 0) queue(c, false, wire::kTcpAck, 0);
    return;
  }
  // Every second segment, as a Linux receiver does.
  if (payload != 0 && ack_every != 0 && (end.open = !end.open) == false) queue(c, false, wire::kTcpAck, 0);
}

std::size_t PeerIo::transmit(PortIndex port, std::span<Frame> frames) {
  for (Frame& frame : frames) {
    read(frame.bytes(), port);
    ++sent_;
  }
  const std::size_t n = frames.size();
  drop(frames);
  return n;
}

void PeerIo::drop(std::span<Frame> frames) {
  for (Frame& frame : frames) {
    auto* const buffer = static_cast<Buffer*>(std::move(frame).release().handle);
    if (--buffer->owners == 0) free_.push_back(buffer);
  }
}

std::size_t PeerIo::allocate(std::span<Frame> into) {
  for (Frame& frame : into) {
    Buffer* const buffer = take();
    frame = Frame{RawFrame{.data = buffer->bytes.data() + io::kMadeHeadroom,
                           .handle = buffer,
                           .octets = 0,
                           .headroom = io::kMadeHeadroom,
                           .tailroom = static_cast<std::uint16_t>(buffer->bytes.size() - io::kMadeHeadroom),
                           .port = kNoPort}};
  }
  return into.size();
}

Frame PeerIo::share(const RawFrame& raw) {
  ++static_cast<Buffer*>(raw.handle)->owners;
  return Frame{raw};
}

bool PeerIo::is_sole_owner(const RawFrame& raw) const { return static_cast<const Buffer*>(raw.handle)->owners == 1; }

RelayScenario::RelayScenario(std::uint32_t connections)
    : connections_{connections},
      io_{connections},
      arena_{connections + 65536 + 1024},
      block_{std::make_unique<control::WorkerBlock>()} {
  worker::WorkerConfig config;
  config.proxy_connections_max = connections + 1024;
  worker_ = std::make_unique<worker::Worker>(
      config, worker::WorkerWiring{.io = &io_, .block = block_.get(), .flow_arena = arena_.bytes(), .views = &views_});
  publish();
}

void RelayScenario::publish() {
  control::SnapshotContent c;
  c.node = control::default_node_record();
  c.node.source_port_low = 1024;
  c.node.source_port_high = 65535;
  c.node.flow_max = control::kFlowMax;
  c.node.proxy_connections_max = control::kProxyConnectionMax;
  c.node.proxy_half_open_max = 4096;
  c.node_addresses = {kNodeAddress};
  control::ListenerRecord listener{};
  listener.address = kService;
  listener.port = Be16::from_host(80);
  listener.proto = IpProto::tcp;
  listener.mode = control::ListenerMode::proxy;
  listener.id = 1;
  c.listeners = {listener};
  std::vector<lb::MaglevMember> members;
  for (std::size_t i = 0; i < kEndpoints; ++i) {
    const auto id = static_cast<std::uint32_t>(1 + i);
    c.endpoints.push_back({endpoint(i), Be16::from_host(8080), 1, id, id});
    members.push_back({lb::member_identity(endpoint(i), Be16::from_host(8080)), 1});
  }
  c.maglev = lb::build_maglev(members, 16381);
  c.clusters = {{.id = 1,
                 .first_endpoint = 0,
                 .endpoint_count = kEndpoints,
                 .maglev_offset = 0,
                 .maglev_size = static_cast<std::uint32_t>(c.maglev.size()),
                 .flags = 0}};
  auto bytes = std::make_shared<std::vector<std::byte>>(control::write_snapshot(c, 1));
  auto view = std::make_unique<worker::WorkerView>();
  auto opened = control::SnapshotView::open(*bytes);

  require(opened.ok(), "the bench's snapshot is wrong");
  view->snapshot = *opened;
  view->storage = bytes;
  for (std::size_t i = 0; i < kEndpoints; ++i)
    view->endpoint_next_hops.push_back(static_cast<control::NextHopIndex>(i));
  view->next_hops.assign(kEndpoints, {kPeer, kNode, 1, 0});
  for (PortIndex p = 0; p < 2; ++p)
    view->ports[p] = {.present = true, .verify_checksums = false, .mtu = 1500, .queues = 1, .mac = kNode};
  worker::build_view_index(*view);
  publisher_.publish(std::move(view));
  worker_->step(now_);
}

void RelayScenario::run() {
  // Until nobody has anything to say. Time goes on as it would at some million segments a second.
  do {
    now_ += std::chrono::microseconds{5};
    worker_->step(now_);
  } while (!io_.empty());
}

void RelayScenario::begin(std::uint32_t c) {
  io_.pair(c) = FarPair{};
  isn_ += 1000;  // rises, so that a port may be used again while its last connection is remembered
  io_.pair(c).client.nxt = io_.pair(c).endpoint.nxt = isn_;
  io_.queue(c, true, wire::kTcpSyn, 0);
}

void RelayScenario::open_all() {
  for (std::uint32_t c = 0; c < connections_; ++c) {
    begin(c);
    if (c % kTogether == kTogether - 1 || c + 1 == connections_) run();
  }
}

void RelayScenario::move(std::uint32_t first, std::uint32_t count, std::uint32_t segments) {
  for (std::uint32_t s = 0; s < segments; ++s)
    for (std::uint32_t c = first; c < first + count; ++c) io_.queue(c, true, wire::kTcpAck, kFullPayload);
  run();
}

void RelayScenario::live(std::uint32_t first, std::uint32_t count) {
  for (std::uint32_t c = first; c < first + count; ++c) begin(c);
  run();
}

void RelayScenario::peers_alone(std::uint32_t first, std::uint32_t count, std::uint32_t segments) {
  // What move() makes and reads: the segments, half as many acknowledgements, and both again as the worker sends them.
  std::array<Frame, io::kBurstMax> frames;
  for (std::uint32_t s = 0; s < segments; ++s)
    for (std::uint32_t c = first; c < first + count; ++c) {
      io_.queue(c, true, wire::kTcpAck, kFullPayload);
      if (s % 2 == 0) io_.queue(c, true, wire::kTcpAck, 0);
    }
  const std::uint32_t ack_every = std::exchange(io_.ack_every, 0);
  std::array<FarPair, 2 * kTogether> before;  // the worker knows nothing of this
  for (std::uint32_t c = 0; c < count; ++c) before[c] = io_.pair(first + c);
  while (!io_.empty()) {
    const std::size_t n = io_.receive(frames);
    for (std::size_t i = 0; i < n; ++i) io_.overhear(frames[i].bytes());
    io_.drop({frames.data(), n});
  }
  io_.ack_every = ack_every;
  for (std::uint32_t c = 0; c < count; ++c) io_.pair(first + c) = before[c];
}

void RelayScenario::expire() {
  now_ += std::chrono::seconds{61};
  for (int i = 0; i < 4096; ++i) {
    now_ += std::chrono::milliseconds{1};
    worker_->step(now_);
  }
}

}  // namespace penstock::bench
