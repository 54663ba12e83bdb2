#include "tests/sim/tcp/lwip_host.h"

#include <lwip/init.h>
#include <lwip/ip.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/tcp.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "tests/sim/tcp/engine_host.h"
#include "tests/support/seeded.h"

namespace penstock::tcpsim {
namespace {

constexpr std::uint64_t kTickUs = TCP_FAST_INTERVAL * 1000;
constexpr std::uint16_t kMtu = 1500;

// lwIP is one global instance; so is what surrounds it at the moment.
LwipHost* running = nullptr;
long allocations = 0;

ip_addr_t lwip_address(const IpAddress& from) {
  ip_addr_t out{};
  if (from.is_v4()) {
    std::memcpy(&out.u_addr.ip4.addr, from.octets.data() + 12, 4);
    out.type = IPADDR_TYPE_V4;
  } else {
    std::memcpy(out.u_addr.ip6.addr, from.octets.data(), 16);
    out.type = IPADDR_TYPE_V6;
  }
  return out;
}

err_t interface_out(pbuf* packet) {
  std::array<std::byte, 2048> bytes;
  if (running == nullptr) return ERR_OK;  // what is aborted after a failed run
  const std::uint16_t octets = pbuf_copy_partial(packet, bytes.data(), bytes.size(), 0);
  running->packet_out(ByteView{bytes}.first(octets));
  return ERR_OK;
}

err_t start_interface(netif* interface) {
  interface->name[0] = 's';
  interface->name[1] = 'm';
  interface->mtu = interface->mtu6 = kMtu;
  interface->output = [](netif*, pbuf* packet, const ip4_addr_t*) { return interface_out(packet); };
  interface->output_ip6 = [](netif*, pbuf* packet, const ip6_addr_t*) { return interface_out(packet); };
  interface->flags |= NETIF_FLAG_LINK_UP;
  return ERR_OK;
}

}  // namespace

struct LwipStack {
  netif interface {};
  long allocations_before{};
  std::uint32_t first_sequence{};
  std::uint32_t keep_idle_ms{};
  bool nagle{};
};

/// One connection of lwIP, and the application's hold on it.
struct LwipConnection final : Socket {
  std::unique_ptr<App> app;
  tcp_pcb* pcb{};  ///< null before it opens and once nothing more is asked of it
  tcp_pcb* listener{};
  bool shutdown_due{};  ///< asked for before the handshake ended
  bool may_forget{};    ///< the peer reads so fast that lwIP's 20 s for the rest of a closed connection suffice
  bool fin_may_ride{};  ///< on data; the peer's window is never small
  bool closes_early{};
  bool may_lose_data{};
  std::uint64_t wake_at_us{};
  std::uint64_t last_ack_since_us{};  ///< 0: not in LAST-ACK

  void hold(tcp_pcb* opened, const LwipStack& stack);
  [[nodiscard]] bool is_open() const override { return pcb != nullptr; }
  std::size_t write(ByteView bytes) override;
  [[nodiscard]] bool writable() const override { return tcp_sndbuf(pcb) > 0; }
  void consume(std::uint32_t octets) override;
  void shutdown() override;
  tcp::Events close() override;
  tcp::Events abort() override;
};

namespace {

err_t on_receive(void* argument, tcp_pcb* pcb, pbuf* data, err_t) {
  App& app = *static_cast<LwipConnection*>(argument)->app;
  if (data == nullptr) {
    tcp::Events events;
    events.add(tcp::Events::kPeerClosed);
    app.events(events);
    return ERR_OK;
  }
  for (const pbuf* piece = data; piece != nullptr; piece = piece->next)
    app.deliver(ByteView{static_cast<const std::byte*>(piece->payload), piece->len});
  if (static_cast<LwipConnection*>(argument)->pcb == nullptr) tcp_recved(pcb, data->tot_len);
  pbuf_free(data);
  return ERR_OK;
}

void on_end(void* argument, err_t why) {
  tcp::Events events;
  if (why == ERR_RST) events.add(tcp::Events::kReset);
  if (why == ERR_ABRT) events.add(tcp::Events::kTimedOut);
  auto& connection = *static_cast<LwipConnection*>(argument);
  connection.app->events(events);
  connection.pcb = nullptr;
  if (why == ERR_ABRT && running != nullptr) running->gave_up(connection);
}

err_t on_connected(void* argument, tcp_pcb*, err_t) {
  tcp::Events events;
  events.add(tcp::Events::kConnected);
  static_cast<LwipConnection*>(argument)->app->events(events);
  return ERR_OK;
}

}  // namespace

void LwipConnection::hold(tcp_pcb* opened, const LwipStack& stack) {
  pcb = opened;
  tcp_arg(pcb, this);
  tcp_recv(pcb, on_receive);
  tcp_err(pcb, on_end);
  pcb->so_options |= SOF_KEEPALIVE;
  pcb->keep_idle = stack.keep_idle_ms;
  if (!stack.nagle) tcp_nagle_disable(pcb);
}

std::size_t LwipConnection::write(ByteView bytes) {
  const std::size_t octets = std::min<std::size_t>(bytes.size(), tcp_sndbuf(pcb));
  if (octets == 0) return 0;
  const err_t result = tcp_write(pcb, bytes.data(), static_cast<std::uint16_t>(octets), TCP_WRITE_FLAG_COPY);
  return result == ERR_OK ? octets : 0;
}

void LwipConnection::consume(std::uint32_t octets) {
  while (octets > 0) {
    const auto part = static_cast<std::uint16_t>(std::min(octets, 0x8000u));
    tcp_recved(pcb, part);
    octets -= part;
  }
}

// A segment with data and FIN that lwIP cuts to fit a small window keeps its FIN on the first part
// (tcp_split_unsent_seg() sets flags and clears none), and so ends the stream too early.
void LwipConnection::shutdown() {
  const bool waits = pcb->state == SYN_SENT || (pcb->unsent != nullptr && !fin_may_ride);
  shutdown_due = waits || tcp_shutdown(pcb, 0, 1) != ERR_OK;
}

// After tcp_close() lwIP forgets a connection 20 s after the call, whatever its peer has still to say; so it is only
// shut down, unless forgetting is the plan.
tcp::Events LwipConnection::close() {
  if (!closes_early)
    shutdown();
  else if (tcp_close(pcb) == ERR_OK)
    pcb = nullptr;  // the callbacks stay: the peer's end of stream is still told
  return {};
}

tcp::Events LwipConnection::abort() {
  tcp_err(pcb, nullptr);
  tcp_abort(std::exchange(pcb, nullptr));
  tcp::Events events;
  events.add(tcp::Events::kAborted);
  return events;
}

LwipHost::LwipHost(const Scenario& scenario, std::size_t side, Outside& outside)
    : scenario_{scenario}, side_{side}, outside_{outside}, stack_{std::make_unique<LwipStack>()} {
  static const bool initialised = (lwip_init(), true);
  require(initialised && running == nullptr, "two lwIP hosts");
  running = this;
  test::Seeded random{scenario.seed * 13 + 3};
  stack_->allocations_before = allocations;
  stack_->first_sequence = random.u32();
  stack_->nagle = random.coin();
  stack_->keep_idle_ms = 1'800'000;
  const Variant wraps = side == 0 ? Variant::sequence_wrap_client : Variant::sequence_wrap_server;
  if (scenario.variant == wraps) stack_->first_sequence = 0u - static_cast<std::uint32_t>(random.below(100000));
  tcp_ticks = scenario.variant == Variant::coarse_wrap ? 0u - static_cast<std::uint32_t>(random.below(300)) : 1000u;
  const ip_addr_t own = lwip_address(key_of(scenario, side, 0).local);
  ip4_addr_t address{}, mask{}, none{};
  if (scenario.v4) address = own.u_addr.ip4;
  IP4_ADDR(&mask, 255, 255, 255, 0);
  netif_add(&stack_->interface, &address, &mask, &none, nullptr, start_interface, ip_input);
  netif_set_up(&stack_->interface);
  if (!scenario.v4) {
    netif_ip6_addr_set(&stack_->interface, 0, &own.u_addr.ip6);
    netif_ip6_addr_set_state(&stack_->interface, 0, IP6_ADDR_PREFERRED);
  }
  for (std::uint32_t i = 0; i < scenario.connections.size(); ++i) {
    const ConnectionPlan& plan = scenario.connections[i];
    const auto one = static_cast<std::uint32_t>(side), other = 1 - one;
    auto connection = std::make_unique<LwipConnection>();
    connection->app = std::make_unique<App>(plan.app[one], plan.app[other], 2 * i + one, 2 * i + other);
    const AppPlan& peer = plan.app[other];
    connection->fin_may_ride =
        peer.read_every_us == 0 && peer.stall_us == 0 && scenario.limits[other].receive_budget_octets > 0xffff;
    connection->closes_early = plan.app[one].ending == Ending::close_early;
    connection->may_lose_data = scenario.may_lose_data(plan);
    if (connection->may_lose_data) stack_->keep_idle_ms = 60'000;
    connections_.push_back(std::move(connection));
    if (side == 1) listen(i);
  }
}

LwipHost::~LwipHost() {
  running = nullptr;
  for (const auto& connection : connections_)
    if (connection->listener != nullptr) tcp_close(connection->listener);
  while (tcp_active_pcbs != nullptr) tcp_abort(tcp_active_pcbs);
  while (tcp_tw_pcbs != nullptr) tcp_abort(tcp_tw_pcbs);
  netif_remove(&stack_->interface);
}

void LwipHost::listen(std::size_t i) {
  const tcp::ConnectionKey key = key_of(scenario_, side_, i);
  const ip_addr_t own = lwip_address(key.local);
  tcp_pcb* pcb = tcp_new_ip_type(own.type);
  require(tcp_bind(pcb, &own, key.local_port.host()) == ERR_OK, "lwIP cannot bind");
  connections_[i]->listener = tcp_listen_with_backlog(pcb, 255);
  tcp_arg(connections_[i]->listener, this);
  tcp_accept(connections_[i]->listener, [](void* argument, tcp_pcb* accepted, err_t) -> err_t {
    auto* host = static_cast<LwipHost*>(argument);
    LwipConnection* connection = host->accepted_on(accepted->local_port, accepted->remote_port);
    if (connection == nullptr) return ERR_VAL;
    connection->hold(accepted, *host->stack_);
    return on_connected(connection, accepted, ERR_OK);
  });
}

LwipConnection* LwipHost::accepted_on(std::uint16_t local_port, std::uint16_t remote_port) {
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const tcp::ConnectionKey key = key_of(scenario_, side_, i);
    if (key.local_port.host() == local_port && key.remote_port.host() == remote_port) return connections_[i].get();
  }
  return nullptr;
}

void LwipHost::connect(std::size_t i) {
  const tcp::ConnectionKey key = key_of(scenario_, side_, i);
  const ip_addr_t own = lwip_address(key.local), peer = lwip_address(key.remote);
  tcp_pcb* pcb = tcp_new_ip_type(own.type);
  connections_[i]->hold(pcb, *stack_);
  require(tcp_bind(pcb, &own, key.local_port.host()) == ERR_OK, "lwIP cannot bind");
  require(tcp_connect(pcb, &peer, key.remote_port.host(), on_connected) == ERR_OK, "lwIP cannot connect");
}

std::size_t LwipHost::handle(const Event& event) {
  switch (event.kind) {
    case Kind::open:
      connect(event.connection);
      break;
    case Kind::timer:
      tick();
      return kNoConnection;
    case Kind::wake:
      if (connections_[event.connection]->wake_at_us != event.at_us) return kNoConnection;
      connections_[event.connection]->wake_at_us = 0;
      break;
    case Kind::packet:
    case Kind::too_big:
    case Kind::time_wait_over:
      return kNoConnection;
  }
  pump(event.connection);
  return event.connection;
}

void LwipHost::timer_needed() {
  if (ticking_) return;
  ticking_ = true;
  outside_.push(outside_.now_us() + kTickUs, Kind::timer, side_, 0);
}

// lwIP counts the 120 s that it stays in LAST-ACK from the last segment it heard, and so has no patience left for its
// FIN when its application read for longer than that after the peer had nothing more to say.
void LwipHost::gave_up(const LwipConnection& connection) {
  constexpr std::uint64_t kPatienceUs = 10'000'000;
  const std::uint64_t since_us = connection.last_ack_since_us;
  const bool patient = since_us == 0 || outside_.now_us() - since_us > kPatienceUs;
  for (std::size_t i = 0; i < connections_.size(); ++i)
    if (connections_[i].get() == &connection) outside_.gave_up(side_, i, patient);
}

/// lwIP keeps no watch in FIN-WAIT-2: whose peer may reset it, and may not be heard doing so, waits on its own behalf.
void LwipHost::lose_patience() {
  constexpr std::uint32_t kPatienceTicks = 1200;  // ten minutes
  for (const auto& connection : connections_)
    if (connection->may_lose_data && connection->pcb != nullptr && connection->pcb->state == FIN_WAIT_2 &&
        tcp_ticks - connection->pcb->tmr > kPatienceTicks)
      connection->app->events(connection->abort());
}

void LwipHost::tick() {
  tcp_fasttmr();
  slow_half_ = !slow_half_;
  if (slow_half_) tcp_slowtmr();
  lose_patience();
  ticking_ = false;
  if (tcp_active_pcbs != nullptr || tcp_tw_pcbs != nullptr) timer_needed();
  pump_all();
}

std::size_t LwipHost::receive(ByteView packet) {
  pbuf* copy = pbuf_alloc(PBUF_RAW, static_cast<std::uint16_t>(packet.size()), PBUF_RAM);
  require(copy != nullptr, "no memory for a packet");
  pbuf_take(copy, packet.data(), static_cast<std::uint16_t>(packet.size()));
  if (ip_input(copy, &stack_->interface) != ERR_OK) pbuf_free(copy);
  pump_all();
  const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet);
  for (std::size_t i = 0; i < connections_.size() && parsed; ++i)
    if (key_of(scenario_, side_, i) == parsed->key) return i;
  return kNoConnection;
}

void LwipHost::packet_out(ByteView packet) {
  const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet);  // flipped back, it is seen from the other end
  if (!parsed) return;                                            // ICMP errors that a corrupted packet caused
  for (std::size_t i = 0; i < connections_.size(); ++i)
    if (key_of(scenario_, 1 - side_, i) == parsed->key)
      return outside_.send(side_, i, packet, parsed->segment.seq, parsed->segment.payload.empty());
}

void LwipHost::pump_all() {
  for (std::size_t i = 0; i < connections_.size(); ++i) pump(i);
}

/// A segment that fast retransmit could not send, because the window was closed, is put behind later ones when the
/// timer expires; then nothing fits lwIP's congestion window, and no timer of it runs.
static bool is_in_disorder(const tcp_pcb& pcb) {
  const auto first = [](const tcp_seg* segment) { return SeqNum{lwip_ntohl(segment->tcphdr->seqno)}; };
  for (const tcp_seg* at = pcb.unsent; at != nullptr && at->next != nullptr; at = at->next)
    if (first(at->next).precedes(first(at))) return true;
  return false;
}

void LwipHost::pump(std::size_t i) {
  LwipConnection& connection = *connections_[i];
  if (connection.pcb != nullptr && is_in_disorder(*connection.pcb)) outside_.excuse(side_, i);
  if (connection.pcb != nullptr && connection.shutdown_due) connection.shutdown();
  connection.app->step(connection, outside_.now_us());
  if (!connection.app->failure().empty()) outside_.fail(side_, i, connection.app->failure());
  if (connection.pcb != nullptr) tcp_output(connection.pcb);
  // What waits for its time to pass is freed without a word.
  if (connection.pcb != nullptr && connection.pcb->state == TIME_WAIT) connection.pcb = nullptr;
  if (connection.pcb != nullptr && connection.pcb->state == LAST_ACK && connection.last_ack_since_us == 0)
    connection.last_ack_since_us = outside_.now_us();
  const std::uint64_t wake = connection.app->wakes_at_us();
  if (wake == 0 || wake == connection.wake_at_us) return;
  connection.wake_at_us = std::max(wake, outside_.now_us() + 1);
  outside_.push(connection.wake_at_us, Kind::wake, side_, i);
}

const App& LwipHost::app(std::size_t i) const { return *connections_[i]->app; }

std::optional<SeqNum> LwipHost::offered_until(std::size_t i) const {
  const tcp_pcb* pcb = connections_[i]->pcb;
  if (pcb == nullptr || pcb->state < ESTABLISHED) return std::nullopt;
  return later_of(SeqNum{pcb->rcv_ann_right_edge}, SeqNum{pcb->rcv_nxt});
}

std::uint32_t LwipHost::initial_sequence() { return stack_->first_sequence; }

void LwipHost::check_end() {
  for (const auto& connection : connections_)
    if (connection->listener != nullptr) tcp_close(std::exchange(connection->listener, nullptr));
  if (tcp_active_pcbs != nullptr || tcp_tw_pcbs != nullptr || tcp_bound_pcbs != nullptr)
    outside_.fail(side_, 0, "lwIP still has connections");
  else if (allocations != stack_->allocations_before)
    outside_.fail(side_, 0, "lwIP leaked " + std::to_string(allocations - stack_->allocations_before) + " pieces");
}

}  // namespace penstock::tcpsim

// Found before the library's own by the dynamic linker: lwIP's memory is counted, its sequence numbers and its timer
// belong to the run.
extern "C" {
using penstock::tcpsim::allocations;
using penstock::tcpsim::running;

void* mem_malloc(mem_size_t octets) {
  ++allocations;
  return std::malloc(octets);
}
void* mem_calloc(mem_size_t count, mem_size_t octets) {
  ++allocations;
  return std::calloc(count, octets);
}
void mem_free(void* memory) {
  if (memory != nullptr) --allocations;
  std::free(memory);
}
std::uint32_t tcp_next_iss(tcp_pcb*) { return running != nullptr ? running->initial_sequence() : 0; }
void tcp_timer_needed(void) {
  if (running != nullptr) running->timer_needed();
}
}
