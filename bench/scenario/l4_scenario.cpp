#include "bench/scenario/l4_scenario.h"

#include <algorithm>
#include <random>

#include "dataplane/control/snapshot_writer.h"
#include "dataplane/lb/maglev.h"

namespace penstock::bench {
namespace {

using test::PacketBuilder;

constexpr std::size_t kEndpoints = 64;
constexpr std::uint8_t kRequest = 0, kReply = 1, kSyn = 2, kSynAck = 3;  // templates

IpAddress service(IpFamily f) { return test::ip(f == IpFamily::v4 ? "10.96.0.10" : "fd10:96::10"); }
IpAddress client(IpFamily f) { return test::ip(f == IpFamily::v4 ? "11.0.0.0" : "fd10:1::"); }
IpAddress node(IpFamily f) { return test::ip(f == IpFamily::v4 ? "10.10.2.1" : "fd10:2::1"); }
IpAddress endpoint(IpFamily f, std::size_t i) {
  IpAddress a = test::ip(f == IpFamily::v4 ? "10.10.3.0" : "fd10:3::");
  a.octets[15] = static_cast<std::uint8_t>(1 + i);
  return a;
}

}  // namespace

std::vector<PacketTemplate> L4Scenario::templates(const L4Shape& shape) {
  const auto make = [&](const IpAddress& src, const IpAddress& dst, std::uint16_t sport, std::uint16_t dport,
                        const char* flags, PortIndex port) {
    PacketBuilder b;
    b.from_to(src, dst);
    if (shape.proto == IpProto::tcp)
      b.tcp(sport, dport, flags);
    else
      b.udp(sport, dport).payload_octets(12);
    return PacketTemplate{b.build(), port};
  };
  const IpFamily f = shape.family;
  return {make(client(f), service(f), 1024, 80, "A", 0), make(endpoint(f, 0), node(f), 8080, 1024, "A", 1),
          make(client(f), service(f), 1024, 80, "S", 0), make(endpoint(f, 0), node(f), 8080, 1024, "SA", 1)};
}

L4Scenario::L4Scenario(const L4Shape& shape)
    : shape_{shape},
      templates_{templates(shape)},
      io_{templates_},
      arena_{shape.flows + 1024},
      block_{std::make_unique<control::WorkerBlock>()} {
  worker_ = std::make_unique<worker::Worker>(
      worker::WorkerConfig{},
      worker::WorkerWiring{.io = &io_, .block = block_.get(), .flow_arena = arena_.bytes(), .views = &views_});
  publish();
  open_flows();
}

void L4Scenario::publish() {
  control::SnapshotContent c;
  c.node = control::default_node_record();
  c.node.source_port_low = 1024;
  c.node.source_port_high = 65535;
  c.node.flow_max = shape_.flows + 1024;
  c.node.tcp_established_ms = c.node.udp_stream_ms = 3'600'000;
  c.node_addresses = {node(shape_.family)};
  control::ListenerRecord listener{};
  listener.address = service(shape_.family);
  listener.port = Be16::from_host(80);
  listener.proto = shape_.proto;
  listener.id = 1;
  c.listeners = {listener};
  std::vector<lb::MaglevMember> members;
  for (std::size_t i = 0; i < kEndpoints; ++i) {
    const Be16 port = Be16::from_host(8080);
    const auto id = static_cast<std::uint32_t>(1 + i);
    c.endpoints.push_back({endpoint(shape_.family, i), port, 1, id, id});
    members.push_back({lb::member_identity(endpoint(shape_.family, i), port), 1});
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
  for (std::size_t i = 0; i < kEndpoints; ++i) {
    view->endpoint_next_hops.push_back(static_cast<control::NextHopIndex>(i));
    view->next_hops.push_back({{{2, 0, 1, 0, 0, static_cast<std::uint8_t>(i)}}, {{2, 0, 0, 0, 1, 2}}, 1, 0});
  }
  view->ports[0] = {.present = true, .mtu = 1500, .mac = {{2, 0, 0, 0, 0, 2}}};
  view->ports[1] = {.present = true, .mtu = 1500, .mac = {{2, 0, 0, 0, 1, 2}}};
  worker::build_view_index(*view);
  publisher_.publish(std::move(view));
}

/// Packet of client i, made by changing the template's address and port and its checksums with them (RFC 1624).
PacketStamp L4Scenario::client_stamp(std::uint32_t i, std::uint8_t shape) const {
  const PacketTemplate& t = templates_[shape];
  PacketStamp s = t.stamp_of(t.bytes, shape);
  const std::uint32_t address = 0x0b000000u + (i >> 8);
  const PacketStamp old = s;
  s.src_low = {static_cast<std::uint8_t>(shape_.family == IpFamily::v4 ? 11 : 0),
               static_cast<std::uint8_t>(address >> 16), static_cast<std::uint8_t>(address >> 8),
               static_cast<std::uint8_t>(address)};
  s.src_port = Be16::from_host(static_cast<std::uint16_t>(1024 + (i & 0xff))).wire();
  const auto word = [](const std::array<std::uint8_t, 4>& a, std::size_t at) {
    return static_cast<std::uint32_t>(a[at] << 8 | a[at + 1]);
  };
  const auto update = [&](std::uint16_t field, bool with_port) {
    std::uint32_t sum = static_cast<std::uint16_t>(~Be16::from_wire(field).host());
    for (const std::size_t at : {0u, 2u})
      sum += static_cast<std::uint16_t>(~word(old.src_low, at)) + word(s.src_low, at);
    if (with_port)
      sum += static_cast<std::uint16_t>(~Be16::from_wire(old.src_port).host()) +
             std::uint32_t{Be16::from_wire(s.src_port).host()};
    while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
    return Be16::from_host(static_cast<std::uint16_t>(~sum)).wire();
  };
  if (t.v4()) s.ip_sum = update(old.ip_sum, false);
  s.l4_sum = update(old.l4_sum, true);
  return s;
}

void L4Scenario::open_flows() {
  std::vector<PacketStamp> requests, replies, first, answers;
  for (std::uint32_t i = 0; i < shape_.flows; ++i) {
    requests.push_back(client_stamp(i, kRequest));
    first.push_back(client_stamp(i, kSyn));
  }
  const auto turn_round = [](ByteView frame, const PacketTemplate& t) {
    test::Bytes back{frame.begin(), frame.end()};  // exchanging the ends keeps every checksum
    const std::size_t at = t.v4() ? 26 : 22, octets = t.v4() ? 4 : 16, l4 = t.v4() ? 34 : 54;
    std::swap_ranges(back.begin() + static_cast<std::ptrdiff_t>(at),
                     back.begin() + static_cast<std::ptrdiff_t>(at + octets),
                     back.begin() + static_cast<std::ptrdiff_t>(at + octets));
    std::swap_ranges(back.begin() + static_cast<std::ptrdiff_t>(l4), back.begin() + static_cast<std::ptrdiff_t>(l4 + 2),
                     back.begin() + static_cast<std::ptrdiff_t>(l4 + 2));
    return back;
  };
  const auto run = [&](std::span<const PacketStamp> stamps) {
    io_.play(stamps);
    const std::uint64_t until = received() + stamps.size();
    while (received() < until) step();
  };
  // Incremental checksums do not need to be right on a trusting port, only consistent.
  const std::uint64_t before = io_.transmitted();
  io_.tap = [&](PortIndex, ByteView frame) {
    const test::Bytes back = turn_round(frame, templates_[kReply]);
    replies.push_back(templates_[kReply].stamp_of(back, kReply));
    answers.push_back(templates_[kSynAck].stamp_of(back, kSynAck));
  };
  run(first);
  io_.tap = nullptr;
  run(answers);
  run(requests);
  require(flows() == shape_.flows && io_.transmitted() == before + 3ull * shape_.flows, "flows could not be opened");
  mix_ = std::move(requests);
  mix_.insert(mix_.end(), replies.begin(), replies.end());
  std::shuffle(mix_.begin(), mix_.end(), std::mt19937{1});
  while (mix_.size() < 2 * io::kBurstMax) mix_.insert(mix_.end(), mix_.begin(), mix_.end());
  mix_.resize(mix_.size() / io::kBurstMax * io::kBurstMax);
}

void L4Scenario::play_established(PortOrder order) {
  std::mt19937 random{2};
  for (auto burst = mix_.begin(); burst != mix_.end(); burst += io::kBurstMax) {
    if (order == PortOrder::by_queue)
      std::stable_partition(burst, burst + io::kBurstMax, [](const PacketStamp& s) { return s.shape == kRequest; });
    else
      std::shuffle(burst, burst + io::kBurstMax, random);
  }
  io_.play(mix_);
}

void L4Scenario::play_new(std::uint32_t count) {
  fresh_.clear();
  for (std::uint32_t i = 0; i < count; ++i) fresh_.push_back(client_stamp(0x40000000u + fresh_clients_++, kSyn));
  io_.play(fresh_);
}

void L4Scenario::expire_all() {
  io_.play({});
  now_ += std::chrono::hours{2};
  for (int i = 0; i < 2; ++i) {
    now_ += std::chrono::seconds{1};
    while (worker_->step(now_)) {
    }
  }
}

}  // namespace penstock::bench
