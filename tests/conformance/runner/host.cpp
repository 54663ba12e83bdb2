#include "tests/conformance/runner/host.h"

#include <algorithm>
#include <array>

#include "dataplane/tcp/stateless.h"
#include "tests/conformance/runner/options_text.h"

namespace penstock::script {
namespace {

// Enough for a script that writes a few megabytes in segments of 536 octets.
constexpr std::uint32_t kEntries = 16384;
constexpr std::uint32_t kBlocks = 8192;

const tcp::Secrets kSecrets{{11, 12}, {13, 14}, {15, 16}};

/// A block holds a whole segment.
std::uint16_t block_octets(const Settings& settings) {
  return std::max<std::uint16_t>(2048, std::max(settings.mtu_v4, settings.mtu_v6));
}

/// Writes a 16-bit word of a segment, and keeps the checksum right (RFC 1624).
void rewrite(ByteSpan segment, std::size_t at, std::uint16_t word) {
  constexpr std::size_t kChecksum = 16;
  const std::uint32_t old = load_be<std::uint16_t>(segment, at).host();
  std::uint32_t sum = (load_be<std::uint16_t>(segment, kChecksum).host() ^ 0xffffu) + (old ^ 0xffffu) + word;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  store_be(segment, kChecksum, Be16::from_host(static_cast<std::uint16_t>(~sum)));
  store_be(segment, at, Be16::from_host(word));
}

}  // namespace

Host::Host(Settings& settings, bool v4)
    : settings_{settings}, v4_{v4}, pools_{kEntries, kBlocks, block_octets(settings)} {
  local_ = v4 ? IpAddress::v4(192, 168, 0, 1) : *IpAddress::parse("fd3d:a0b:17d6::1");
  remote_ = v4 ? IpAddress::v4(192, 0, 2, 1) : *IpAddress::parse("fd3d:fa7b:d17d::1");
}

Host::~Host() {
  for (const auto& socket : sockets_)
    if (socket->engine) static_cast<void>(socket->engine->abort(socket->ep));
}

tcp::ConnectionKey Host::key_of(std::uint16_t local_port, std::uint16_t remote_port) const {
  return {local_, remote_, Be16::from_host(local_port), Be16::from_host(remote_port)};
}

Instant Host::next_deadline() const {
  Instant out = tcp::kNever;
  for (const auto& socket : sockets_)
    if (socket->kind == Socket::Kind::connection && !socket->over())
      out = std::min({out, tcp::Engine::deadline(socket->ep), socket->push_at});
  return out;
}

void Host::run_until(Instant until) {
  for (Instant next = next_deadline(); next <= std::max(until, now_) && !exhausted(); next = next_deadline()) {
    now_ = std::max(now_, next);
    ++steps_;
    for (std::size_t i = 0; i < sockets_.size(); ++i) {
      Socket& socket = *sockets_[i];
      if (socket.kind != Socket::Kind::connection || socket.over()) continue;
      if (socket.push_at <= now_) release(socket, socket.held);
      if (tcp::Engine::deadline(socket.ep) > now_) continue;
      note(socket, socket.engine->expire(socket.ep, now_));
      pump(socket);
    }
  }
  now_ = std::max(now_, until);
}

void Host::renew(Socket& socket) {
  tcp::Limits& limits = socket.limits;
  // The engine insists that the budget is worth several units of the scale.
  limits.receive_budget_octets = std::max(limits.receive_budget_octets, 8u << limits.window_shift);
  if (!socket.engine) {
    socket.engine = std::make_unique<tcp::Engine>(limits, kSecrets, pools_);
    return;
  }
  socket.engine->configure(limits);
  if (socket.over() || socket.waiting) return;
  if (socket.ep.receive_budget != limits.receive_budget_octets)  // a change is announced to the peer
    socket.engine->set_receive_budget(socket.ep, limits.receive_budget_octets);
  socket.engine->set_send_budget(socket.ep, limits.send_budget_octets);
}

std::uint32_t Host::write(Socket& socket, std::uint32_t octets) {
  static const std::array<std::byte, 65536> kZeros{};
  std::uint32_t done = 0;
  while (done < octets) {
    const std::size_t piece = std::min<std::size_t>(octets - done, kZeros.size());
    const std::size_t taken = socket.engine->write(socket.ep, ByteView{kZeros}.first(piece));
    if (taken == 0) break;
    done += static_cast<std::uint32_t>(taken);
  }
  return done;
}

void Host::seal(Socket& socket) {
  for (tcp::Index i = socket.ep.queue.first_unsent(); i != tcp::kNoIndex; i = pools_.entries[i].next) {
    const tcp::Entry& entry = pools_.entries[i];
    if (entry.next == tcp::kNoIndex && entry.octets > 0)  // a block without room: the entry cannot grow
      pools_.blocks.set_filled(entry.block, pools_.blocks.block_octets());
  }
}

void Host::release(Socket& socket, std::uint32_t octets) {
  socket.push_at = tcp::kNever;
  if (octets == 0) return;
  socket.held -= write(socket, octets);
  pump(socket);
}

void Host::replies(Socket& socket) {
  const bool quick = settings_.quick_acks && socket.limits.delayed_ack == Duration::zero();
  if (!quick || !socket.data_came || now_ - *socket.data_came >= settings_.limits.delayed_ack) return;
  socket.limits.delayed_ack = settings_.limits.delayed_ack;
  renew(socket);
}

Socket& Host::open_socket() {
  sockets_.push_back(std::make_unique<Socket>());
  Socket& socket = *sockets_.back();
  socket.limits = settings_.limits;
  socket.keepalive_idle = settings_.keepalive_idle;
  socket.connect_timeout = settings_.connect_timeout;
  socket.user_timeout = settings_.limits.user_timeout;
  give_descriptor(socket);
  return socket;
}

void Host::give_descriptor(Socket& socket, std::int64_t wanted) {
  socket.fd = -1;
  if (wanted >= 0 && wanted < 65536 && find(wanted) == nullptr) {
    socket.fd = static_cast<int>(wanted);
    return;
  }
  int fd = 3;
  while (find(fd) != nullptr) ++fd;
  socket.fd = fd;
}

Socket* Host::find(std::int64_t fd) {
  for (const auto& socket : sockets_)
    if (socket->fd == fd) return socket.get();
  return nullptr;
}

Socket* Host::find(const tcp::ConnectionKey& key) {
  for (const auto& socket : sockets_)
    if (socket->kind == Socket::Kind::connection && socket->key == key && (!socket->over() || socket->waiting))
      return socket.get();
  return nullptr;
}

const Socket* Host::latest(const tcp::ConnectionKey& key) const {
  const Socket* out = nullptr;
  for (const auto& socket : sockets_)
    if (socket->kind == Socket::Kind::connection && socket->key == key) out = socket.get();
  return out;
}

void Host::listen(Socket& socket, std::size_t backlog) {
  socket.kind = Socket::Kind::listening;
  socket.backlog = backlog;
}

std::string Host::connect(Socket& socket, std::uint16_t port) {
  socket.key = key_of(socket.port != 0 ? socket.port : next_port_++, port);
  socket.kind = Socket::Kind::connection;
  if (settings_.quick_acks) socket.limits.delayed_ack = Duration::zero();
  if (socket.connect_timeout > Duration::zero()) socket.limits.user_timeout = socket.connect_timeout;
  renew(socket);
  if (!socket.engine->connect(socket.ep, socket.key, mtu_of(socket), now_)) return "ENOBUFS";
  pump(socket);
  return "";
}

void Host::pump(Socket& socket) {
  for (tcp::SegmentOut out; socket.engine->transmit(socket.ep, now_, out);) send(socket.key, out);
  if (socket.ep.state == tcp::State::time_wait) {
    socket.record = socket.engine->take_time_wait(socket.ep, now_);
    socket.waiting = true;
  }
}

void Host::send(const tcp::ConnectionKey& key, const tcp::SegmentOut& segment) {
  std::vector<std::byte> packet(tcp::packet_room(segment.payload.size()));
  packet.resize(tcp::write_packet(packet, key, segment));
  const Parsed<tcp::PacketIn> back = tcp::read_packet(packet);
  require(static_cast<bool>(back), "the stack sent a packet that cannot be read");
  const tcp::SegmentIn& in = back->segment;
  Sent out{now_, key, in.seq, in.ack, segment.flags, in.window, static_cast<std::uint32_t>(in.payload.size()), {}};
  out.options = decode(segment.options.view());
  sent.push_back(std::move(out));
}

std::uint16_t Host::mtu_of(const Socket& socket) const {
  const std::uint16_t mtu = v4_ ? settings_.mtu_v4 : settings_.mtu_v6;
  const std::uint32_t headers = v4_ ? 40 : 60;
  return socket.segment_max == 0
             ? mtu
             : static_cast<std::uint16_t>(std::min<std::uint32_t>(mtu, socket.segment_max + headers));
}

void Host::put_extras(ByteSpan packet, Extras extras) const {
  constexpr std::size_t kFlags = 12, kUrgent = 18;
  constexpr std::uint16_t kAccurate = 0x100;
  const ByteSpan segment = packet.subspan(v4_ ? 20 : 40);
  if (extras.urgent != 0) rewrite(segment, kUrgent, extras.urgent);
  const std::uint16_t flags = load_be<std::uint16_t>(segment, kFlags).host();
  if (extras.accurate) rewrite(segment, kFlags, flags | kAccurate);
}

void Host::receive(const tcp::ConnectionKey& key, const tcp::SegmentOut& segment, Extras extras) {
  const tcp::ConnectionKey from{key.remote, key.local, key.remote_port, key.local_port};
  std::vector<std::byte> packet(tcp::packet_room(segment.payload.size()));
  packet.resize(tcp::write_packet(packet, from, segment));
  put_extras(packet, extras);
  const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet);
  if (!parsed) return;  // the wire layer refuses it
  Socket* socket = find(parsed->key);
  const std::uint8_t kind = parsed->segment.flags & (kFlagSyn | kFlagAck | kFlagRst | kFlagFin);
  const bool syn_fin = kind == (kFlagSyn | kFlagFin);
  const bool asks = tcp::opens_connection(parsed->segment) || syn_fin;
  if (syn_fin && settings_.drop_syn_fin) return;
  if (socket != nullptr && socket->waiting) {
    if (socket->record.expired(now_)) {
      socket->waiting = false;
      socket = nullptr;
    } else {
      const tcp::TimeWaitVerdict verdict = tcp::receive(socket->record, parsed->segment, now_);
      if (verdict == tcp::TimeWaitVerdict::reply) send(key, tcp::time_wait_ack(socket->record, now_));
      if (verdict != tcp::TimeWaitVerdict::reuse) return;
      socket->waiting = false;
      socket = nullptr;
    }
  }
  if (socket != nullptr) return receive(*socket, parsed->segment);
  bool listened = false;
  for (const auto& one : sockets_) {
    if (one->kind != Socket::Kind::listening || one->port != key.local_port.host()) continue;
    listened = true;
    if (asks && !settings_.cookies) return accept(*one, key, parsed->segment);
    if (asks)
      return send(key, tcp::cookie_syn_ack(kSecrets, settings_.limits, key, parsed->segment, mtu_of(*one), now_));
    if (settings_.cookies && kind == kFlagAck && accept_cookie(*one, key, parsed->segment)) return;
  }
  const auto reset = listened ? tcp::listener_reset_for(parsed->segment) : tcp::reset_for(parsed->segment);
  if (reset) send(key, *reset);
}

void Host::receive(Socket& socket, const tcp::SegmentIn& segment) {
  const std::uint32_t readable = socket.readable;
  const bool opening = socket.ep.state == tcp::State::syn_sent;
  const tcp::Events events = socket.engine->receive(socket.ep, segment, now_, socket);
  if (socket.readable > readable) socket.data_came = now_;
  if (socket.read_shut && settings_.bsd && !socket.over())  // nobody will read it
    socket.engine->consume(socket.ep, std::exchange(socket.readable, 0));
  if (opening && socket.ep.state == tcp::State::syn_received) round_buffer(socket);
  note(socket, events);
  if (socket.held > 0 && !socket.cork && segment.is(kFlagAck)) release(socket, socket.held);
  if (events.has(tcp::Events::kResetReply)) stray(socket.key, segment);
  pump(socket);
}

void Host::stray(const tcp::ConnectionKey& key, const tcp::SegmentIn& segment) {
  if (const auto reset = tcp::reset_for(segment)) send(key, *reset);
}

Socket& Host::child_of(Socket& listener, const tcp::ConnectionKey& key) {
  sockets_.push_back(std::make_unique<Socket>());
  Socket& socket = *sockets_.back();
  socket.kind = Socket::Kind::connection;
  socket.limits = listener.limits;
  socket.keepalive = listener.keepalive;
  socket.no_delay = listener.no_delay;
  socket.segment_max = listener.segment_max;
  socket.keepalive_idle = listener.keepalive_idle;
  socket.user_timeout = listener.limits.user_timeout;
  socket.linger = listener.linger;
  socket.linger_seconds = listener.linger_seconds;
  socket.parent = &listener;
  socket.key = key;
  socket.connect_told = true;
  if (settings_.quick_acks) socket.limits.delayed_ack = Duration::zero();
  renew(socket);
  return socket;
}

void Host::accept(Socket& listener, const tcp::ConnectionKey& key, const tcp::SegmentIn& syn) {
  std::size_t pending = listener.ready.size();
  for (const auto& one : sockets_) pending += one->parent == &listener && !one->connected() && !one->over() ? 1 : 0;
  if (pending > std::max<std::size_t>(listener.backlog, 1)) return;  // a full queue drops the SYN
  Socket& socket = child_of(listener, key);
  if (socket.engine->accept(socket.ep, key, mtu_of(socket), syn, now_)) pump(socket);
}

bool Host::accept_cookie(Socket& listener, const tcp::ConnectionKey& key, const tcp::SegmentIn& ack) {
  const auto grant = tcp::check_cookie(kSecrets, settings_.limits, key, ack, now_);
  if (!grant) return false;
  Socket& socket = child_of(listener, key);
  if (socket.engine->accept_cookie(socket.ep, key, mtu_of(socket), *grant, ack, now_)) receive(socket, ack);
  return true;
}

void Host::round_buffer(Socket& socket) {
  if (!settings_.round_buffer) return;
  const std::uint32_t mss = socket.ep.pmtu.mss();
  socket.limits.receive_budget_octets = (socket.limits.receive_budget_octets + mss - 1) / mss * mss;
}

void Host::established(Socket& socket) {
  socket.limits.user_timeout = socket.user_timeout;
  socket.opened = now_;
  round_buffer(socket);
  renew(socket);
  if (socket.parent == nullptr) return;
  if (socket.parent->kind == Socket::Kind::listening)
    socket.parent->ready.push_back(&socket);
  else
    abort(socket);
}

void Host::note(Socket& socket, tcp::Events events) {
  const bool was_connected = socket.connected();
  socket.seen.add(events.bits);
  if (!was_connected && socket.connected()) established(socket);
  const bool refused = !was_connected && socket.parent == nullptr;
  if (events.has(tcp::Events::kReset)) {
    const bool pipe = !settings_.bsd && socket.seen.has(tcp::Events::kPeerClosed);
    socket.error = refused ? "ECONNREFUSED" : pipe ? "EPIPE" : "ECONNRESET";
  } else if (events.has(tcp::Events::kTimedOut)) {
    socket.error = "ETIMEDOUT";
  }
  if (!events.has(tcp::Events::kReset) && !events.has(tcp::Events::kTimedOut)) return;
  if (socket.parent != nullptr && socket.fd < 0 && !was_connected) socket.parent = nullptr;
}

void Host::receive_icmp(const tcp::ConnectionKey& key, bool too_big, std::uint16_t mtu, const std::string& error,
                        std::optional<SeqNum> quoted) {
  Socket* socket = find(key);
  if (socket == nullptr || socket->waiting) return;
  const SeqNum una = socket->ep.queue.una();
  if (too_big) {
    socket->engine->path_too_big(socket->ep, mtu, quoted.value_or(una));
    return pump(*socket);
  }
  // RFC 5927 s6: only while the connection is being opened is a hard error believed.
  const bool quotes_us = !quoted || *quoted == una;
  if (socket->ep.state != tcp::State::syn_sent || !settings_.icmp_aborts_syn_sent || !quotes_us || error.empty())
    return;
  note(*socket, socket->engine->abort(socket->ep));
  socket->error = error;
  pump(*socket);
}

void Host::abort(Socket& socket) {
  note(socket, socket.engine->abort(socket.ep));
  pump(socket);
}

void Host::disconnect(Socket& socket) {
  if (socket.kind != Socket::Kind::connection) return;
  Socket& next = open_socket();
  next.fd = std::exchange(socket.fd, -1);
  next.limits = socket.limits;
  next.nonblocking = socket.nonblocking;
  next.no_delay = socket.no_delay;
  next.keepalive = socket.keepalive;
  abort(socket);
}

void Host::close(Socket& socket) {
  socket.fd = -1;
  if (socket.kind == Socket::Kind::listening) {
    socket.kind = Socket::Kind::fresh;
    for (const auto& one : sockets_)
      if (one->parent == &socket && one->fd < 0 && !one->over()) {
        const bool half_open = !one->connected();
        note(*one, one->engine->abort(one->ep));
        if (!half_open) pump(*one);  // its peer learns of a half-open one's end when it sends
      }
    socket.ready.clear();
    return;
  }
  if (socket.kind != Socket::Kind::connection) return;
  if (socket.linger && socket.linger_seconds == 0) return abort(socket);
  if (settings_.bsd && !socket.over() && !socket.waiting) socket.engine->consume(socket.ep, socket.readable);
  note(socket, socket.engine->close(socket.ep, now_));
  pump(socket);
}

}  // namespace penstock::script
