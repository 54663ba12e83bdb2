#include "tests/sim/relay/relay_world.h"

#include <algorithm>

#include "dataplane/tcp/stateless.h"

namespace penstock::sim {
namespace {

constexpr std::uint64_t kVirtualMaxUs = 6ull * 3600 * 1'000'000;
constexpr std::uint64_t kEventsMax = 3'000'000;
constexpr std::size_t kEthernet = 14;

std::vector<std::byte> in_ethernet(ByteView packet, bool v4) {
  std::vector<std::byte> frame(kEthernet + packet.size());
  constexpr std::array<std::uint8_t, 12> kMacs{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
  std::memcpy(frame.data(), kMacs.data(), kMacs.size());
  frame[12] = std::byte{static_cast<unsigned char>(v4 ? 0x08 : 0x86)};
  frame[13] = std::byte{static_cast<unsigned char>(v4 ? 0x00 : 0xdd)};
  std::copy(packet.begin(), packet.end(), frame.begin() + kEthernet);
  return frame;
}

/// A packet without payload, SYN or FIN.
bool carries_nothing(ByteView packet) {
  const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet);
  return parsed && parsed->segment.span().octets == 0;
}

/// The application's hold on one endpoint.
class EndSocket final : public tcpsim::Socket {
 public:
  EndSocket(tcp::Engine& engine, tcp::Endpoint& ep, Instant now) : engine_{engine}, ep_{ep}, now_{now} {}
  [[nodiscard]] bool is_open() const override {
    return ep_.state != tcp::State::closed && ep_.state != tcp::State::time_wait;
  }
  std::size_t write(ByteView bytes) override { return engine_.write(ep_, bytes); }
  [[nodiscard]] bool writable() const override { return engine_.writable(ep_) > 0; }
  void consume(std::uint32_t octets) override { engine_.consume(ep_, octets); }
  void shutdown() override { engine_.shutdown(ep_); }
  tcp::Events close() override { return engine_.close(ep_, now_); }
  tcp::Events abort() override { return engine_.abort(ep_); }

 private:
  tcp::Engine& engine_;
  tcp::Endpoint& ep_;
  Instant now_;
};

class EndReader final : public tcp::Delivery {
 public:
  explicit EndReader(tcpsim::App& app) : app_{app} {}
  void deliver(const tcp::Piece& piece) override { app_.deliver(piece.bytes); }

 private:
  tcpsim::App& app_;
};

}  // namespace

RelayWorld::RelayWorld(const tcpsim::Scenario& scenario, const RelayRunOptions& options)
    : scenario_{scenario}, options_{options}, random_{scenario.seed * 2 + 3} {
  const IpFamily family = scenario.v4 ? IpFamily::v4 : IpFamily::v6;
  const auto many = static_cast<std::uint32_t>(scenario.connections.size());
  world_ = std::make_unique<World>(WorldOptions{.flows = std::max(256u, 4 * many),
                                                .buffers = options.buffers,
                                                .ring = options.ring,
                                                .proxy_connections = std::max(64u, many),
                                                .lent = options.lent,
                                                .rests_before_splice = options.rests_before_splice});
  if (options.hold_sent) world_->device->hold_sent();
  if (options.half_open_max != 0) world_->node.proxy_half_open_max = options.half_open_max;
  world_->node.proxy_keepalive_ms = 1800'000;
  world_->node.proxy_connect_ms = options.connect_ms;
  for (worker::WorkerPort& port : world_->ports) port.verify_checksums = true;
  SimListener listener = make_listener({IpProto::tcp, family, control::Forwarding::fullnat}, 2);
  listener.mode = control::ListenerMode::proxy;
  listener.splice = options.splice;
  world_->listeners = {listener};
  world_->publish();
  for (const std::size_t plan : {0u, 1u, 0u, 1u}) links_.emplace_back(scenario.link[plan], start_us_);
  // A spliced segment passes two links: two that lose by counting may fall into step and let nothing through.
  for (const std::size_t second : {1u, 2u}) {
    if (!options.splice) break;
    tcpsim::LinkPlan plan = scenario.link[second % 2];
    plan.lose_nth = plan.lose_nth_of_all = 0;
    links_[second] = tcpsim::Link{plan, start_us_};
  }
  make_hosts();
  for (std::uint32_t i = 0; i < scenario.connections.size(); ++i) {
    const tcpsim::ConnectionPlan& plan = scenario.connections[i];
    auto connection = std::make_unique<Connection>();
    connection->key = {client_address(family), service_address(family), Be16::from_host(plan.client_port),
                       Be16::from_host(80)};
    const std::uint32_t stream = options_.alike ? 0 : 2 * i;
    connection->app = std::make_unique<tcpsim::App>(plan.app[0], plan.app[1], stream, stream + 1);
    hosts_[0].connections.push_back(std::move(connection));
    push(start_us_ + plan.opens_at_us, Kind::open, 0, i);
  }
}

void RelayWorld::make_hosts() {
  for (std::size_t side = 0; side < 2; ++side) {
    Host host;
    host.pools = std::make_unique<tcp::Pools>(65536, 65536);
    tcp::Limits limits = scenario_.limits[side];
    limits.fin_wait_2 = std::chrono::hours{3};
    // Probes in step with a link that loses every second acknowledgement would all be lost: seldom, unless needed.
    limits.keepalive_idle = std::chrono::minutes{30};
    for (const tcpsim::ConnectionPlan& plan : scenario_.connections)
      if (scenario_.may_lose_data(plan)) limits.keepalive_idle = std::chrono::seconds{60};
    test::Seeded secrets{scenario_.seed * 31 + side + 7};
    tcp::Secrets keys;
    for (tcp::SipKey* key : {&keys.isn, &keys.timestamp, &keys.cookie}) *key = {secrets.next(), secrets.next()};
    host.engine = std::make_unique<tcp::Engine>(limits, keys, *host.pools);
    hosts_.push_back(std::move(host));
  }
}

void RelayWorld::push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t connection,
                      std::shared_ptr<std::vector<std::byte>> packet) {
  heap_.push({at_us, order_++, kind, static_cast<std::uint8_t>(host), static_cast<std::uint16_t>(connection),
              std::move(packet)});
}

void RelayWorld::fail(const std::string& what) {
  if (failure_.empty()) failure_ = "at +" + std::to_string(now_us_ - start_us_) + " us: " + what;
}

std::string RelayWorld::run() {
  while (!heap_.empty() && failure_.empty()) {
    const Event event = heap_.top();
    heap_.pop();
    now_us_ = event.at_us;
    if (now_us_ - start_us_ > kVirtualMaxUs) fail("not finished within six virtual hours");
    if (++events_ > kEventsMax) fail("too many events: a livelock");
    handle(event);
    if (!options_.alike || events_ % 256 == 0) audit();
  }
  audit();
  if (failure_.empty()) check_end();
  return failure_;
}

void RelayWorld::audit() {
  if (const auto problem = world_->workers[0]->relay().audit(); !problem.empty()) fail(std::string{problem});
  if (!world_->conserved()) fail("a frame had none or two dispositions");
}

void RelayWorld::handle(const Event& event) {
  switch (event.kind) {
    case Kind::to_host:
      return host_receives(event.host, *event.packet);
    case Kind::to_node:
      world_->device->inject(static_cast<PortIndex>(event.host), *event.packet);
      return node_turns();
    case Kind::node:
      if (node_at_us_ != event.at_us) return;
      node_at_us_ = 0;
      return node_turns();
    case Kind::open: {
      Connection& connection = *hosts_[0].connections[event.connection];
      connection.opened = hosts_[0].engine->connect(connection.ep, connection.key, 1500, now());
      break;
    }
    case Kind::timer: {
      Connection& connection = *hosts_[event.host].connections[event.connection];
      if (connection.timer_at_us != event.at_us) return;
      connection.timer_at_us = 0;
      if (now() >= tcp::Engine::deadline(connection.ep))
        connection.app->events(hosts_[event.host].engine->expire(connection.ep, now()));
      break;
    }
    case Kind::wake:
      hosts_[event.host].connections[event.connection]->wake_at_us = 0;
      break;
  }
  pump(event.host, event.connection);
}

RelayWorld::Connection* RelayWorld::find(std::size_t host, const tcp::ConnectionKey& key) {
  // The newest first: ports are used again.
  for (std::size_t i = hosts_[host].connections.size(); i-- > 0;)
    if (hosts_[host].connections[i]->key == key) return hosts_[host].connections[i].get();
  return nullptr;
}

/// Which client this is cannot be seen from here, so a run has one connection.
void RelayWorld::endpoint_accepts(const tcp::ConnectionKey& key, const tcp::SegmentIn& syn) {
  Host& h = hosts_[1];
  const std::size_t i = h.connections.size();
  if (i >= scenario_.connections.size()) return;  // a copy of a SYN whose connection is long over
  const tcpsim::ConnectionPlan& plan = scenario_.connections[i];
  auto fresh = std::make_unique<Connection>();
  fresh->key = key;
  const auto stream = static_cast<std::uint32_t>(options_.alike ? 0 : 2 * i);
  fresh->app = std::make_unique<tcpsim::App>(plan.app[1], plan.app[0], stream + 1, stream);
  fresh->opened = h.engine->accept(fresh->ep, key, 1500, syn, now());
  h.connections.push_back(std::move(fresh));
  pump(1, i);
}

void RelayWorld::host_receives(std::size_t host, ByteView packet) {
  const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet);
  if (!parsed) return;  // corrupted
  Host& h = hosts_[host];
  Connection* connection = find(host, parsed->key);
  const bool over =
      connection != nullptr && connection->freed && (!connection->waiting || connection->record.expired(now()));
  if (host == 1 && (connection == nullptr || over) && tcp::opens_connection(parsed->segment))
    return endpoint_accepts(parsed->key, parsed->segment);
  if (connection == nullptr || over) {
    if (const auto reset = tcp::reset_for(parsed->segment)) host_sends(host, parsed->key, *reset);
    return;
  }
  if (connection->freed) {
    if (tcp::receive(connection->record, parsed->segment, now()) == tcp::TimeWaitVerdict::reply)
      host_sends(host, parsed->key, tcp::time_wait_ack(connection->record, now()));
    return;
  }
  EndReader reader{*connection->app};
  const tcp::Events events = h.engine->receive(connection->ep, parsed->segment, now(), reader);
  connection->app->events(events);
  if (events.has(tcp::Events::kResetReply))
    if (const auto reset = tcp::reset_for(parsed->segment)) host_sends(host, parsed->key, *reset);
  const auto at =
      std::find_if(h.connections.begin(), h.connections.end(), [&](const auto& c) { return c.get() == connection; });
  pump(host, static_cast<std::size_t>(at - h.connections.begin()));
}

void RelayWorld::host_sends(std::size_t host, const tcp::ConnectionKey& key, const tcp::SegmentOut& segment) {
  std::vector<std::byte> packet(tcp::packet_room(segment.payload.size()));
  packet.resize(tcp::write_packet(packet, key, segment));
  travel(links_[host == 0 ? 0 : 3], Kind::to_node, host, in_ethernet(packet, key.local.is_v4()), kEthernet);
}

void RelayWorld::travel(tcpsim::Link& link, Kind to, std::size_t host, std::vector<std::byte> bytes,
                        std::size_t ip_at) {
  const auto octets = static_cast<std::uint32_t>(bytes.size() - ip_at);
  const tcpsim::Passage passage = link.pass(random_, now_us_, octets, carries_nothing(ByteView{bytes}.subspan(ip_at)));
  if (options_.capture != nullptr)
    options_.capture->packet(now_us_, ByteView{bytes}.subspan(ip_at),
                             passage.fate != tcpsim::Fate::delivered ? "lost"
                             : passage.corrupted                     ? "corrupted"
                                                                     : "");
  if (passage.fate != tcpsim::Fate::delivered) return;
  if (passage.corrupted)
    bytes[ip_at + passage.corrupt_bit / 8] ^= static_cast<std::byte>(1u << (passage.corrupt_bit % 8));
  const auto packet = std::make_shared<std::vector<std::byte>>(std::move(bytes));
  for (std::uint8_t i = 0; i < passage.copies; ++i) push(passage.arrives_us[i], to, host, 0, packet);
}

void RelayWorld::pump(std::size_t host, std::size_t index) {
  Connection& connection = *hosts_[host].connections[index];
  tcp::Engine& engine = *hosts_[host].engine;
  if (!connection.opened || connection.freed) return;
  EndSocket socket{engine, connection.ep, now()};
  connection.app->step(socket, now_us_);
  if (!connection.app->failure().empty()) fail((host == 0 ? "client: " : "endpoint: ") + connection.app->failure());
  for (tcp::SegmentOut out; engine.transmit(connection.ep, now(), out);) host_sends(host, connection.key, out);
  if (connection.ep.state == tcp::State::time_wait) {
    connection.record = engine.take_time_wait(connection.ep, now());
    connection.waiting = true;
  }
  connection.freed = connection.ep.state == tcp::State::closed;
  if (connection.freed) return;
  const Instant deadline = tcp::Engine::deadline(connection.ep);
  if (deadline != tcp::kNever) {
    const std::uint64_t at_us = std::max((to_nanoseconds(deadline) + 999) / 1000, now_us_);
    if (connection.timer_at_us == 0 || at_us < connection.timer_at_us || connection.timer_at_us < now_us_) {
      connection.timer_at_us = at_us;
      push(at_us, Kind::timer, host, index);
    }
  }
  const std::uint64_t wake = connection.app->wakes_at_us();
  if (wake != 0 && connection.wake_at_us == 0) {
    connection.wake_at_us = std::max(wake, now_us_ + 1);
    push(connection.wake_at_us, Kind::wake, host, index);
  }
}

void RelayWorld::node_turns() {
  if (options_.burst_us != 0) return node_round();
  worker::Worker& worker = *world_->workers[0];
  for (int rounds = 0; worker.step(now()); ++rounds)
    if (rounds > 10000) return fail("the worker never comes to rest");
  carry_sent();
  const Instant deadline = worker.next_deadline();
  if (worker.flow_count() == 0 || deadline == Instant::max()) return;
  const std::uint64_t at_us = std::max((to_nanoseconds(deadline) + 999) / 1000, now_us_ + 1);
  if (node_at_us_ != 0 && node_at_us_ <= at_us && node_at_us_ > now_us_) return;
  node_at_us_ = at_us;
  push(at_us, Kind::node, 0, 0);
}

/// One round, when the last one is over; meanwhile frames wait in the rings.
void RelayWorld::node_round() {
  worker::Worker& worker = *world_->workers[0];
  std::uint64_t next_us = node_free_at_us_;
  if (now_us_ >= node_free_at_us_) {
    const bool worked = worker.step(now());
    carry_sent();
    node_free_at_us_ = now_us_ + options_.burst_us;
    next_us = node_free_at_us_;
    const Instant deadline = worker.next_deadline();
    if (!worked && world_->device->waiting() == 0) {
      if (worker.flow_count() == 0 || deadline == Instant::max()) return;
      next_us = std::max((to_nanoseconds(deadline) + 999) / 1000, next_us);
    }
  }
  if (node_at_us_ != 0 && node_at_us_ <= next_us && node_at_us_ > now_us_) return;
  node_at_us_ = next_us;
  push(next_us, Kind::node, 0, 0);
}

void RelayWorld::carry_sent() {
  for (io::SentFrame& sent : world_->device->take_sent()) {
    for (const std::string& problem : test::problems_of(sent.bytes)) fail("bad frame sent: " + problem);
    sent.bytes.erase(sent.bytes.begin(), sent.bytes.begin() + kEthernet);
    travel(links_[sent.port == kDownstream ? 1 : 2], Kind::to_host, sent.port, std::move(sent.bytes), 0);
  }
  if (options_.hold_sent && random_.below(3) == 0) world_->device->release_sent();
}

void RelayWorld::check_end() {
  for (std::size_t i = 0; i < scenario_.connections.size() && failure_.empty(); ++i) {
    const bool may_lose = scenario_.may_lose_data(scenario_.connections[i]);
    for (std::size_t host = 0; host < 2; ++host) {
      const std::string who = (host == 0 ? "client " : "endpoint ") + std::to_string(i);
      if (i >= hosts_[host].connections.size()) {
        if (!may_lose && !hosts_[0].connections[i]->app->timed_out()) fail(who + " was never connected");
        continue;
      }
      const Connection& connection = *hosts_[host].connections[i];
      octets_ += connection.app->received();
      if (!connection.freed) fail(who + " is still open");
      if (!may_lose && connection.app->connected() && !connection.app->complete())
        fail(who + " is not complete: " + std::to_string(connection.app->received()) + " octets received");
    }
  }
  if (world_->workers[0]->relay().size() != 0) fail("pairs are left");
  if (world_->flows() != 0) fail("flows are left");
  if (options_.hold_sent) world_->device->release_sent();
  if (world_->device->outstanding() > relay::kSpareFrames) fail("buffers are missing");
}

}  // namespace penstock::sim
