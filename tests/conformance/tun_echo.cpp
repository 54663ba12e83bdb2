#include "tests/conformance/tun_echo.h"

#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "dataplane/tcp/stateless.h"

namespace penstock::conformance {
namespace {

Instant now() {
  return Instant{std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

}  // namespace

TunEcho::TunEcho(const std::string& device, std::uint32_t loss) : loss_{loss} {
  Fd fd{::open("/dev/net/tun", O_RDWR | O_NONBLOCK)};
  ifreq request{};
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  if (fd && ::ioctl(fd.get(), TUNSETIFF, &request) == 0) device_ = std::move(fd);
}

TunEcho::~TunEcho() { stop(); }

void TunEcho::start() {
  thread_ = std::thread{[this] { run(); }};
}

void TunEcho::stop() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

std::size_t TunEcho::open_connections() const {
  return static_cast<std::size_t>(
      std::count_if(connections_.begin(), connections_.end(), [](const auto& entry) { return !entry.second->freed; }));
}

Instant TunEcho::next_deadline() const {
  Instant next = now() + std::chrono::milliseconds{20};
  for (const auto& [name, connection] : connections_)
    if (!connection->freed) next = std::min(next, tcp::Engine::deadline(connection->ep));
  return next;
}

void TunEcho::run() {
  while (!stopping_) {
    const auto wait = std::max(Duration::zero(), next_deadline() - now());
    const timespec timeout{0, static_cast<long>(wait.count())};
    pollfd readable{device_.get(), POLLIN, 0};
    static_cast<void>(::ppoll(&readable, 1, &timeout, nullptr));
    read_packets();
    expire();
  }
}

void TunEcho::read_packets() {
  for (int i = 0; i < 64; ++i) {
    const ssize_t octets = ::read(device_.get(), buffer_.data(), buffer_.size());
    if (octets <= 0) return;
    if (loses()) continue;
    const Parsed<tcp::PacketIn> packet = tcp::read_packet(ByteView{buffer_}.first(static_cast<std::size_t>(octets)));
    if (packet) on_packet(*packet);
  }
}

void TunEcho::on_packet(const tcp::PacketIn& packet) {
  const tcp::KeyBytes bytes{packet.key};
  const std::string name{reinterpret_cast<const char*>(bytes.bytes.data()), bytes.bytes.size()};
  auto found = connections_.find(name);
  if (found == connections_.end() && tcp::opens_connection(packet.segment)) {
    auto connection = std::make_unique<Connection>();
    connection->key = packet.key;
    if (!engine_.accept(connection->ep, packet.key, 1500, packet.segment, now())) return;
    found = connections_.emplace(name, std::move(connection)).first;
    return pump(*found->second);
  }
  if (found == connections_.end() || found->second->freed) {
    if (const auto reset = tcp::reset_for(packet.segment)) send(packet.key, *reset);
    return;
  }
  Connection& connection = *found->second;
  const tcp::Events events = engine_.receive(connection.ep, packet.segment, now(), connection);
  connection.peer_closed = connection.peer_closed || events.has(tcp::Events::kPeerClosed);
  pump(connection);
  if (failure_.empty()) failure_ = tcp::audit(connection.ep, pools_);
}

void TunEcho::expire() {
  for (auto& [name, connection] : connections_) {
    if (connection->freed || tcp::Engine::deadline(connection->ep) > now()) continue;
    static_cast<void>(engine_.expire(connection->ep, now()));
    pump(*connection);
  }
}

void TunEcho::pump(Connection& connection) {
  for (bool progress = true; progress && !connection.freed;) {
    const std::size_t taken = engine_.write(connection.ep, connection.to_echo);
    engine_.consume(connection.ep, static_cast<std::uint32_t>(taken));
    connection.to_echo.erase(connection.to_echo.begin(),
                             connection.to_echo.begin() + static_cast<std::ptrdiff_t>(taken));
    if (connection.peer_closed && connection.to_echo.empty()) engine_.shutdown(connection.ep);
    progress = false;
    for (tcp::SegmentOut out; engine_.transmit(connection.ep, now(), out); progress = true) send(connection.key, out);
    connection.freed = connection.ep.state == tcp::State::closed;
  }
}

void TunEcho::send(const tcp::ConnectionKey& key, const tcp::SegmentOut& segment) {
  std::vector<std::byte> packet(tcp::packet_room(segment.payload.size()));
  packet.resize(tcp::write_packet(packet, key, segment));
  if (!loses()) static_cast<void>(::write(device_.get(), packet.data(), packet.size()));
}

}  // namespace penstock::conformance
