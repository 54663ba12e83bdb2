#include "tests/sim/world.h"

#include <gtest/gtest.h>

#include "dataplane/lb/maglev.h"

namespace penstock::sim {
namespace {

using test::Bytes;
using test::PacketBuilder;

constexpr MacAddress kDownstreamMac{{2, 0, 0, 0, 0, 2}};
constexpr MacAddress kUpstreamMac{{2, 0, 0, 0, 1, 2}};
constexpr std::uint32_t kMaglevSize = 1021;
constexpr std::size_t kHandoffSlots = 128;  // as many as a worker takes in a round: they may all be of one other

MacAddress mac_at(const Bytes& frame, std::size_t at) {
  MacAddress out;
  std::memcpy(out.octets.data(), frame.data() + at, 6);
  return out;
}

}  // namespace

MacAddress Seen::dst_mac() const { return mac_at(bytes, 0); }
MacAddress Seen::src_mac() const { return mac_at(bytes, 6); }

IpAddress service_address(IpFamily family) { return test::ip(family == IpFamily::v4 ? "10.96.0.10" : "fd10:96::10"); }
IpAddress endpoint_address(IpFamily family, std::uint8_t n) {
  IpAddress a = test::ip(family == IpFamily::v4 ? "10.10.2.0" : "fd10:2::");
  a.octets[15] = static_cast<std::uint8_t>(10 + n);
  return a;
}
IpAddress client_address(IpFamily family, std::uint8_t n) {
  IpAddress a = test::ip(family == IpFamily::v4 ? "10.1.0.0" : "fd10:1::");
  a.octets[15] = n;
  return a;
}
IpAddress node_address(IpFamily family, std::uint8_t n) {
  IpAddress a = test::ip(family == IpFamily::v4 ? "10.10.2.0" : "fd10:2::");
  a.octets[15] = n;
  return a;
}
MacAddress endpoint_mac(const IpAddress& address) { return {{2, 0, 1, 0, address.octets[14], address.octets[15]}}; }

SimListener make_listener(const Shape& shape, std::size_t endpoints, std::uint32_t id) {
  SimListener out;
  out.id = id;
  out.address = service_address(shape.family);
  out.proto = shape.proto;
  out.forwarding = shape.forwarding;
  for (std::size_t i = 0; i < endpoints; ++i)
    out.endpoints.push_back({.address = endpoint_address(shape.family, static_cast<std::uint8_t>(1 + i))});
  return out;
}

PacketBuilder from_client(const Shape& shape, std::uint16_t port, std::string_view flags, std::uint8_t client) {
  PacketBuilder b;
  b.from_to(client_address(shape.family, client), service_address(shape.family));
  if (shape.proto == IpProto::tcp)
    b.tcp(port, 80, flags);
  else
    b.udp(port, 80).payload("ping");
  return b;
}

PacketBuilder reply_to(const Seen& request, std::string_view flags) {
  PacketBuilder b;
  b.eth(endpoint_mac(request.info.dst).text(), kUpstreamMac.text()).from_to(request.info.dst, request.info.src);
  if (request.info.proto == IpProto::tcp)
    b.tcp(request.dst_port(), request.src_port(), flags);
  else
    b.udp(request.dst_port(), request.src_port()).payload("pong");
  return b;
}

Seen connect(World& world, const Shape& shape, std::uint16_t port, std::size_t queue) {
  const Seen syn = world.pass(kDownstream, from_client(shape, port, "S").build(), queue);
  world.pass(kUpstream, reply_to(syn, "SA").build());
  world.pass(kDownstream, from_client(shape, port, "A").build(), queue);
  return syn;
}

World::World(const WorldOptions& options) : options_{options} {
  node_addresses = {node_address(IpFamily::v4), node_address(IpFamily::v6)};
  ports[0] = {
      .present = true, .mtu = 1500, .queues = static_cast<std::uint16_t>(options.queues), .mac = kDownstreamMac};
  ports[1] = {.present = true, .mtu = 1500, .queues = static_cast<std::uint16_t>(options.queues), .mac = kUpstreamMac};
  for (worker::WorkerPort& port : ports) port.cuts = port.present && options.cuts;
  device = std::make_unique<io::SimDevice>(io::SimOptions{.workers = options.workers,
                                                          .queues = options.queues,
                                                          .buffers = options.buffers,
                                                          .ring = options.ring,
                                                          .seed = options.seed,
                                                          .faults = options.faults,
                                                          .cut_mtu = options.cuts ? ports[0].mtu : std::uint16_t{0}});
  publisher = std::make_unique<worker::ViewPublisher>(views, options.workers);
  start_workers();
}

World::~World() {
  for (int round = 0; round < 2; ++round)
    for (auto& w : workers) w->drain();
  EXPECT_EQ(device->outstanding(), 0u) << "buffers are missing";
}

void World::start_workers() {
  std::vector<io::PacketIo*> ios;
  for (std::size_t w = 0; w < options_.workers; ++w) ios.push_back(&device->io(w));
  mesh_ = std::make_unique<worker::HandoffMesh>(ios, kHandoffSlots);
  for (std::uint16_t w = 0; w < options_.workers; ++w) {
    arenas_.push_back(std::make_unique<flow::TestArena>(options_.flows));
    blocks_.push_back(std::make_unique<control::WorkerBlock>());
    control::WorkerBlock& block = *blocks_.back();
    questions_.emplace_back(block.question_control, std::span{block.questions});
    answers_.emplace_back(block.answer_control, std::span{block.answers});
    worker::WorkerConfig config;
    config.index = w;
    config.worker_count = options_.workers;
    config.parked_max = options_.parked;
    config.proxy_connections_max = options_.proxy_connections;
    config.lent_max = options_.lent;
    config.splices_max = options_.splices;
    config.rests_before_splice = options_.rests_before_splice;
    if (options_.ring != 0) config.receive_ring = static_cast<std::uint32_t>(options_.ring);
    config.seed = {options_.seed + 17, options_.seed * 31 + 5};
    worker::WorkerWiring wiring;
    wiring.io = ios[w];
    wiring.block = &block;
    wiring.flow_arena = arenas_[w]->bytes();
    wiring.views = &views;
    wiring.handoff = mesh_.get();
    if (options_.forward_pairs != 0) {
      const std::uint32_t pairs = options_.forward_pairs;
      forwards_.push_back(std::make_unique<worker::ForwardExchange>(worker::ForwardShare{w * pairs, pairs}));
      wiring.forwards = forwards_.back().get();
    }
    workers.push_back(std::make_unique<worker::Worker>(config, wiring));
  }
}

std::vector<worker::RestoreReport> World::crash_and_restore() {
  for (auto& w : workers) w->drain();  // the kernel takes a dead process's buffers back
  workers.clear();
  old_arenas_ = std::exchange(arenas_, {});
  blocks_.clear();
  questions_.clear();
  answers_.clear();
  forwards_.clear();
  start_workers();
  std::vector<worker::RestoreReport> reports;
  for (auto& w : workers)
    for (const auto& arena : old_arenas_) reports.push_back(w->restore(arena->bytes(), now_));
  return reports;
}

std::uint32_t World::endpoint_slot(const SimEndpoint& endpoint, std::uint32_t listener) const {
  const auto next = static_cast<std::uint32_t>(kFirstEndpointSlot + endpoint_slots_.size());
  return endpoint_slots_.try_emplace({listener, endpoint.address, endpoint.port}, next).first->second;
}

std::vector<std::byte> World::snapshot_bytes() {
  control::SnapshotContent content;
  content.node = node;
  content.node_addresses = node_addresses;
  for (const SimListener& l : listeners) {
    control::ListenerRecord listener{};
    listener.address = l.address;
    listener.port = Be16::from_host(l.port);
    listener.proto = l.proto;
    listener.policy = l.policy;
    listener.mode = l.mode;
    listener.forwarding = l.forwarding;
    listener.flags = static_cast<std::uint8_t>((l.draining ? unsigned{control::kListenerDraining} : 0u) |
                                               (l.forward ? unsigned{control::kListenerForward} : 0u) |
                                               (l.splice ? unsigned{control::kListenerSplice} : 0u));
    listener.ask_default = l.ask_default;
    listener.id = l.id;
    listener.stat_slot = listener_slot(l.id);
    listener.cluster = static_cast<std::uint32_t>(content.clusters.size());
    listener.ask_deadline_ms = l.ask_deadline_ms;
    content.listeners.push_back(listener);
    std::vector<lb::MaglevMember> members;
    control::ClusterRecord cluster{};
    cluster.id = l.id;
    cluster.first_endpoint = static_cast<std::uint32_t>(content.endpoints.size());
    cluster.endpoint_count = static_cast<std::uint32_t>(l.endpoints.size());
    for (const SimEndpoint& e : l.endpoints) {
      const Be16 port = Be16::from_host(e.port);
      content.endpoints.push_back(
          {e.address, port, e.weight, l.id * 10000 + endpoint_slot(e, l.id), endpoint_slot(e, l.id)});
      members.push_back({lb::member_identity(e.address, port), e.weight});
    }
    const auto table = lb::build_maglev(members, kMaglevSize);
    cluster.maglev_offset = static_cast<std::uint32_t>(content.maglev.size());
    cluster.maglev_size = static_cast<std::uint32_t>(table.size());
    content.maglev.insert(content.maglev.end(), table.begin(), table.end());
    content.clusters.push_back(cluster);
  }
  if (adjust) adjust(content);
  return control::write_snapshot(content, epoch_);
}

std::uint64_t World::publish() {
  ++epoch_;
  auto view = std::make_unique<worker::WorkerView>();
  const std::vector<std::byte> written = snapshot_bytes();
  // Aligned as a mapping is: route tables are read in place.
  constexpr std::size_t kAlign = 64;
  auto bytes = std::make_shared<std::vector<std::byte>>(written.size() + kAlign);
  const std::size_t offset = (kAlign - reinterpret_cast<std::uintptr_t>(bytes->data()) % kAlign) % kAlign;
  std::copy(written.begin(), written.end(), bytes->begin() + static_cast<std::ptrdiff_t>(offset));
  auto snapshot = control::SnapshotView::open(ByteView{*bytes}.subspan(offset, written.size()));
  EXPECT_TRUE(snapshot.ok()) << (snapshot.ok() ? "" : snapshot.error().text());
  if (!snapshot.ok()) return 0;
  view->snapshot = *snapshot;
  view->storage = bytes;
  for (std::size_t p = 0; p < ports.size(); ++p) view->ports[p] = ports[p];
  for (const SimListener& l : listeners)
    for (const SimEndpoint& e : l.endpoints) {
      const auto next = static_cast<control::NextHopIndex>(next_hops_.size());
      const control::NextHopIndex index = next_hops_.try_emplace(e.address, next).first->second;
      view->endpoint_next_hops.push_back(index);
    }
  view->next_hops.resize(next_hops_.size());
  for (const auto& [address, index] : next_hops_)
    view->next_hops[index] = {endpoint_mac(address), kUpstreamMac, kUpstream, 0};
  for (const SimListener& l : listeners)
    for (const SimEndpoint& e : l.endpoints)
      if (!e.resolved) view->next_hops[next_hops_.at(e.address)] = {};
  worker::build_view_index(*view);
  const auto http = worker::build_http_view(*view, options_.workers);
  EXPECT_TRUE(http.ok()) << (http.ok() ? "" : http.error().text());
  const std::uint64_t generation = publisher->publish(std::move(view));
  for (auto& w : workers) w->step(now_);
  EXPECT_TRUE(publisher->adopted_by_all(generation));
  EXPECT_EQ(publisher->collect(), 1u);
  return epoch_;
}

Seen World::read(io::SentFrame&& frame) const {
  Seen out;
  out.port = frame.port;
  out.worker = frame.worker;
  out.bytes = std::move(frame.bytes);
  for (const std::string& problem : test::problems_of(out.bytes))
    ADD_FAILURE() << "bad frame sent: " << problem << '\n' << test::dump(out.bytes);
  static_cast<void>(wire::parse_packet_into(out.bytes, out.info));
  return out;
}

std::vector<Seen> World::settle() {
  for (bool worked = true; worked;) {
    worked = false;
    for (auto& w : workers) worked = w->step(now_) || worked;
  }
  std::vector<Seen> out;
  for (io::SentFrame& frame : device->take_sent()) out.push_back(read(std::move(frame)));
  return out;
}

std::vector<Seen> World::feed(PortIndex port, const Bytes& frame, std::size_t queue) {
  inject(port, frame, queue);
  return settle();
}

Seen World::pass(PortIndex port, const Bytes& frame, std::size_t queue) {
  const std::string before = drops_text();
  auto out = feed(port, frame, queue);
  EXPECT_EQ(out.size(), 1u) << test::describe(frame) << "\ndrops before: " << before << "\ndrops now: " << drops_text();
  return out.size() == 1 ? std::move(out[0]) : Seen{};
}

void World::refuse(PortIndex port, const Bytes& frame, DropReason reason, std::size_t queue) {
  const std::uint64_t before = drops(reason);
  const std::uint64_t all = total_drops();
  const auto out = feed(port, frame, queue);
  EXPECT_EQ(out.size(), 0u) << test::describe(frame);
  EXPECT_EQ(drops(reason), before + 1) << name_of(reason) << ": " << test::describe(frame);
  EXPECT_EQ(total_drops(), all + 1);
}

void World::advance(Duration by) {
  const Instant target = now_ + by;
  while (now_ < target) {  // as the run loop would: wake for every deadline
    Instant next = target;
    for (auto& w : workers) next = std::min(next, std::max(w->next_deadline(), now_ + std::chrono::milliseconds{1}));
    now_ = next;
    for (auto& w : workers)
      while (w->step(now_)) {
      }
  }
}

std::optional<control::Question> World::next_question(std::size_t worker) {
  control::Question question;
  if (!questions_[worker].pop(question)) return std::nullopt;
  return question;
}

void World::answer(const control::Answer& answer, std::size_t worker) {
  ASSERT_TRUE(answers_[worker].push(answer));
  answers_[worker].publish();
}

std::uint64_t World::drops(DropReason reason) const {
  std::uint64_t n = 0;
  for (const auto& b : blocks_) n += b->counters.drops[static_cast<std::size_t>(reason)].read();
  return n;
}
std::string World::drops_text() const {
  std::string out;
  for (std::size_t r = 0; r < kDropReasonCount; ++r) {
    const auto reason = static_cast<DropReason>(r);
    if (drops(reason) != 0) out += std::string{name_of(reason)} + '=' + std::to_string(drops(reason)) + ' ';
  }
  return out;
}
std::uint64_t World::total_drops() const {
  std::uint64_t n = 0;
  for (std::size_t r = 0; r < kDropReasonCount; ++r) n += drops(static_cast<DropReason>(r));
  return n;
}
std::uint64_t World::sum(control::Counter control::WorkerCounters::*counter) const {
  std::uint64_t n = 0;
  for (const auto& b : blocks_) n += (b->counters.*counter).read();
  return n;
}
std::uint64_t World::proxied(control::Counter control::ProxyCounters::*counter) const {
  std::uint64_t n = 0;
  for (const auto& b : blocks_) n += (b->counters.proxy.*counter).read();
  return n;
}
std::uint64_t World::slot_sum(std::uint32_t slot, control::Counter control::SlotCounters::*counter) const {
  std::uint64_t n = 0;
  for (const auto& b : blocks_) n += (b->counters.slots[slot].*counter).read();
  return n;
}
std::uint32_t World::flows() const {
  std::uint32_t n = 0;
  for (const auto& w : workers) n += w->flow_count();
  return n;
}

/// Frames that came in or were made here, and frames that left, were dropped, ended here or are held. What the relay
/// holds has ended here.
std::array<std::uint64_t, 2> World::balance() const {
  std::uint64_t rx = 0, tx = 0;
  for (const auto& b : blocks_)
    for (const auto& p : b->counters.ports) {
      rx += p.rx_frames.read();
      tx += p.tx_frames.read();
    }
  // A segment answered by a reset, or a packet by "too big", counts as dropped and leaves as its answer.
  const std::uint64_t answered =
      sum(&control::WorkerCounters::resets_sent) + sum(&control::WorkerCounters::too_big_sent);
  const std::uint64_t made = proxied(&control::ProxyCounters::segments_out);
  const std::uint64_t ended =
      proxied(&control::ProxyCounters::segments_in) + sum(&control::WorkerCounters::icmp_consumed);
  std::uint64_t held = 0;
  for (const auto& w : workers) held += w->relay().held_frames();
  return {rx + answered + made + held, tx + total_drops() + ended + device->outstanding()};
}

bool World::conserved() const {
  const auto [in, out] = balance();
  return in == out;
}

void World::check() const {
  const auto [in, out] = balance();
  EXPECT_EQ(in, out) << "a frame had none or two dispositions";
  EXPECT_EQ(sum(&control::WorkerCounters::handoff_in), sum(&control::WorkerCounters::handoff_out));
}

}  // namespace penstock::sim
