#include "tests/sim/http/http_world.h"

#include <algorithm>
#include <cstring>

#include "dataplane/relay/limits.h"
#include "dataplane/tcp/stateless.h"
#include "l7/proxy/proxy.h"
#include "l7/route/compile/compiler.h"

namespace penstock::sim {
namespace {

constexpr std::uint64_t kVirtualMaxUs = 3600ull * 1'000'000;
constexpr std::uint64_t kEventsMax = 3'000'000;
constexpr std::size_t kEthernet = 14;

std::vector<std::byte> in_ethernet(ByteView packet) {
  std::vector<std::byte> frame(kEthernet + packet.size());
  constexpr std::array<std::uint8_t, 14> kHeader{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0};
  std::memcpy(frame.data(), kHeader.data(), kHeader.size());
  std::copy(packet.begin(), packet.end(), frame.begin() + kEthernet);
  return frame;
}

class Reader final : public tcp::Delivery {
 public:
  explicit Reader(std::string& into) : into_{into} {}
  void deliver(const tcp::Piece& piece) override {
    into_.append(reinterpret_cast<const char*>(piece.bytes.data()), piece.bytes.size());
    octets += static_cast<std::uint32_t>(piece.bytes.size());
  }
  std::uint32_t octets{};

 private:
  std::string& into_;
};

std::string chunked(const std::string& body, test::Seeded& random) {
  std::string out;
  for (std::size_t at = 0; at < body.size();) {
    const std::size_t octets = std::min(body.size() - at, 1 + random.below(1 + random.below(3000)));
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", octets);
    out += size + body.substr(at, octets) + "\r\n";
    at += octets;
  }
  return out + "0\r\n\r\n";
}

}  // namespace

HttpWorld::HttpWorld(const HttpRunOptions& options, std::vector<std::vector<RequestPlan>> clients)
    : options_{options}, random_{options.seed * 77 + 5} {
  world_ = std::make_unique<World>(
      WorldOptions{.flows = 1024, .buffers = options.buffers, .seed = 3, .proxy_connections = 256});
  served_.resize(options.endpoints);
  control::WorkerBlock& block = world_->block(0);
  questions_ = SpscRing<control::HttpQuestion>{block.http_question_control, block.http_questions};
  answer_ring_ = SpscRing<control::Answer>{block.answer_control, block.answers};
  configure();
  for (std::size_t side = 0; side < 2; ++side) {
    Host host;
    host.pools = std::make_unique<tcp::Pools>(65536, 65536);
    tcp::Limits limits;
    limits.time_wait = std::chrono::seconds{1};
    test::Seeded secrets{options.seed * 31 + side + 7};
    tcp::Secrets keys;
    for (tcp::SipKey* key : {&keys.isn, &keys.timestamp, &keys.cookie}) *key = {secrets.next(), secrets.next()};
    host.engine = std::make_unique<tcp::Engine>(limits, keys, *host.pools);
    hosts_.push_back(std::move(host));
  }
  for (auto& plans : clients) {
    clients_.push_back({.plans = std::move(plans)});
    push(start_us_ + random_.below(5000), Kind::open, 0, clients_.size() - 1);
  }
  for (std::size_t n = 0; n < options_.changes.size(); ++n)
    push(start_us_ + options_.changes[n].at_us, Kind::change, 0, n);
}

void HttpWorld::configure() {
  SimListener listener = make_listener({IpProto::tcp, IpFamily::v4, control::Forwarding::fullnat}, options_.endpoints);
  listener.mode = control::ListenerMode::proxy;
  world_->node.proxy_time_wait_ms = 1000;
  world_->listeners = {listener};
  for (worker::WorkerPort& port : world_->ports) port.verify_checksums = true;
  if (options_.table.virtual_hosts.empty())
    options_.table.virtual_hosts = {{.name = "all",
                                     .domains = {"*"},
                                     .routes = {{.action = route::Forward{.clusters = {{"c"}}, .timeout_ms = 0}}}}};
  world_->adjust = [this](control::SnapshotContent& content) {
    if (content.listeners.empty()) return;
    route::Compiler compiler;
    const auto compiled = compiler.compile(options_.table, route::Databases::all);
    if (!compiled.ok()) return fail("the route table does not compile");
    const ByteView image = compiled->image.bytes();
    const auto view = route::TableView::open(image);
    control::HttpListenerRecord http = options_.listener;
    control::add_route_image(content, image, http);
    if (!options_.via.empty()) http.via = control::add_text(content, options_.via);
    http.first_cluster = http.first_route = 0;
    http.cluster_count = static_cast<std::uint32_t>(view->cluster_count());
    http.route_count = static_cast<std::uint32_t>(view->route_count());
    content.route_clusters.assign(http.cluster_count, 0);
    for (std::uint16_t r = 0; r < http.route_count; ++r)
      content.route_slots.push_back(static_cast<std::uint16_t>(10 + r));
    http.http_slot = 1;
    if (http.header_timeout_ms == 0) http.header_timeout_ms = 10'000;
    if (http.idle_timeout_ms == 0) http.idle_timeout_ms = 60'000;
    content.http_listeners = {http};
    control::ClusterPolicyRecord policy = options_.policy;
    policy.http_slot = 2;
    content.cluster_policies = {policy};
    if (options_.accept_preface) content.listeners[0].flags |= control::kListenerProxyProtocol;
    if (options_.tunnel) {
      content.listeners[0].flags |= control::kListenerTunnel;
      content.http_listeners.clear();
      return;
    }
    content.listeners[0].http = 0;
    content.listeners[0].cluster = control::kNoIndex;
    if (options_.more) options_.more(content);
  };
  world_->publish();
}

void HttpWorld::push(std::uint64_t at_us, Kind kind, std::size_t host, std::size_t index,
                     std::shared_ptr<std::vector<std::byte>> packet) {
  heap_.push({at_us, order_++, kind, host, index, std::move(packet)});
}

void HttpWorld::fail(const std::string& what) {
  if (failure_.empty()) failure_ = "at +" + std::to_string(now_us_ - start_us_) + " us: " + what;
}

std::string HttpWorld::body_of(std::size_t number, bool request, std::size_t octets) const {
  test::Seeded random{number * 2 + (request ? 1 : 0) + options_.seed * 1000};
  std::string out(octets, ' ');
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < octets; ++i, bits >>= 8) {
    if (i % 8 == 0) bits = random.next();
    out[i] = static_cast<char>(bits & 0xff);
  }
  return out;
}

std::string HttpWorld::run() {
  while (!heap_.empty() && failure_.empty()) {
    const Event event = heap_.top();
    heap_.pop();
    now_us_ = event.at_us;
    if (now_us_ - start_us_ > kVirtualMaxUs) fail("not finished within a virtual hour");
    if (++events_ > kEventsMax) fail("too many events: a livelock");
    handle(event);
    if (const auto problem = world_->workers[0]->relay().audit(); !problem.empty()) fail(std::string{problem});
    if (const auto problem = world_->workers[0]->http().audit(); !problem.empty()) fail(std::string{problem});
  }
  if (failure_.empty()) check_end();
  return failure_;
}

void HttpWorld::handle(const Event& event) {
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
    case Kind::answer:
      if (!answer_ring_.push(answers_[event.index])) return fail("the ring of answers is full");
      answer_ring_.publish();
      return node_turns();
    case Kind::open:
      return open_client(event.index);
    case Kind::wake:
      return pump(0, event.index);
    case Kind::change:
      return change(options_.changes[event.index]);
    case Kind::idle: {
      Socket& socket = *hosts_[1].sockets[event.index];
      if (socket.freed || socket.idle_at_us != event.at_us) return;
      socket.finish = true;
      return pump(1, event.index);
    }
    case Kind::timer: {
      Socket& socket = *hosts_[event.host].sockets[event.index];
      if (socket.timer_at_us != event.at_us) return;
      socket.timer_at_us = 0;
      if (!socket.freed && now() >= tcp::Engine::deadline(socket.ep))
        note(socket, hosts_[event.host].engine->expire(socket.ep, now()));
      return pump(event.host, event.index);
    }
  }
}

void HttpWorld::change(const Change& change) {
  world_->move_to(now());
  change.what(*world_);
  node_turns();
}

void HttpWorld::open_client(std::size_t client) {
  Client& c = clients_[client];
  if (c.done == c.plans.size()) return;
  if (++c.tries > 20 * c.plans.size() + 20) return fail("client " + std::to_string(client) + " gets nowhere");
  auto socket = std::make_unique<Socket>();
  socket->key = {client_address(IpFamily::v4), service_address(IpFamily::v4), Be16::from_host(next_port_++),
                 Be16::from_host(80)};
  socket->client = client;
  socket->first_open = socket->asked = c.done;
  socket->out = options_.preface;
  Host& host = hosts_[0];
  if (!host.engine->connect(socket->ep, socket->key, 1500, now())) return fail("no memory at the client");
  host.sockets.push_back(std::move(socket));
  ++client_connections_;
  pump(0, host.sockets.size() - 1);
}

void HttpWorld::host_receives(std::size_t host, ByteView packet) {
  const Parsed<tcp::PacketIn> parsed = tcp::read_packet(packet);
  if (!parsed) return fail("a host got a bad packet");
  Host& h = hosts_[host];
  std::size_t index = h.sockets.size();
  for (std::size_t i = h.sockets.size(); i-- > 0 && index == h.sockets.size();)
    if (h.sockets[i]->key == parsed->key) index = i;
  Socket* socket = index < h.sockets.size() ? h.sockets[index].get() : nullptr;
  const bool over = socket != nullptr && socket->freed && (!socket->waiting || socket->record.expired(now()));
  if (host == 1 && (socket == nullptr || over) && tcp::opens_connection(parsed->segment)) {
    auto fresh = std::make_unique<Socket>();
    fresh->key = parsed->key;
    if (!h.engine->accept(fresh->ep, fresh->key, 1500, parsed->segment, now())) return fail("no memory at the server");
    h.sockets.push_back(std::move(fresh));
    ++server_connections_;
    return pump(1, h.sockets.size() - 1);
  }
  if (socket == nullptr || over) {
    if (const auto reset = tcp::reset_for(parsed->segment)) host_sends(host, parsed->key, *reset);
    return;
  }
  if (socket->freed) {
    if (tcp::receive(socket->record, parsed->segment, now()) == tcp::TimeWaitVerdict::reply)
      host_sends(host, parsed->key, tcp::time_wait_ack(socket->record, now()));
    return;
  }
  Reader reader{socket->in};
  const tcp::Events events = h.engine->receive(socket->ep, parsed->segment, now(), reader);
  h.engine->consume(socket->ep, reader.octets);
  note(*socket, events);
  if (events.has(tcp::Events::kResetReply))
    if (const auto reset = tcp::reset_for(parsed->segment)) host_sends(host, parsed->key, *reset);
  pump(host, index);
}

void HttpWorld::note(Socket& socket, tcp::Events events) {
  if (events.has(tcp::Events::kPeerClosed)) socket.ended = true;
  if (!events.has(tcp::Events::kReset | tcp::Events::kTimedOut | tcp::Events::kAborted)) return;
  if (socket.key.local == client_address(IpFamily::v4)) ++broken_off_;
  socket.lost = true;
}

void HttpWorld::host_sends(std::size_t host, const tcp::ConnectionKey& key, const tcp::SegmentOut& segment) {
  std::vector<std::byte> packet(tcp::packet_room(segment.payload.size()));
  packet.resize(tcp::write_packet(packet, key, segment));
  travel(Kind::to_node, host, in_ethernet(packet));
}

void HttpWorld::travel(Kind to, std::size_t host, std::vector<std::byte> bytes) {
  if (random_.below(1000) < options_.loss_permille) return;
  const std::uint64_t delay = 20 + random_.below(options_.loss_permille != 0 ? 300 : 10);
  push(now_us_ + delay, to, host, 0, std::make_shared<std::vector<std::byte>>(std::move(bytes)));
}

void HttpWorld::pump(std::size_t host, std::size_t index) {
  Socket& socket = *hosts_[host].sockets[index];
  tcp::Engine& engine = *hosts_[host].engine;
  if (socket.freed) return;
  if (host == 0) {
    client_step(socket);
    const Client& client = clients_[socket.client];
    const std::uint64_t at_us =
        socket.finish || socket.asked == client.plans.size() ? 0 : client.plans[socket.asked].not_before_us;
    if (at_us > now_us()) push(start_us_ + at_us, Kind::wake, 0, index);
  } else {
    server_step(socket);
  }
  // In random pieces, so that every octet is once the first of a segment.
  const std::size_t held = host == 0 && now_us() < options_.last_octet_us && !socket.out.empty() ? 1 : 0;
  if (held != 0) push(start_us_ + options_.last_octet_us, Kind::timer, host, index);
  while (socket.sent + held < socket.out.size()) {
    const std::size_t piece = std::min(socket.out.size() - held - socket.sent, 1 + random_.below(options_.piece_max));
    const std::size_t taken = engine.write(socket.ep, std::as_bytes(std::span{socket.out.data() + socket.sent, piece}));
    socket.sent += taken;
    tcp::SegmentOut out;
    while (engine.transmit(socket.ep, now(), out)) host_sends(host, socket.key, out);
    if (taken < piece) break;
  }
  if (socket.finish && !socket.finished && socket.sent == socket.out.size()) {
    socket.finished = true;
    engine.shutdown(socket.ep);
  }
  tcp::SegmentOut out;
  while (engine.transmit(socket.ep, now(), out)) host_sends(host, socket.key, out);
  if (socket.ep.state == tcp::State::time_wait) {
    socket.record = engine.take_time_wait(socket.ep, now());
    socket.waiting = socket.freed = true;
  } else if (socket.ep.state == tcp::State::closed) {
    socket.freed = true;
  }
  if (socket.freed) {
    if (host == 0) push(now_us_ + 100, Kind::open, 0, socket.client);
    return;
  }
  const Instant deadline = tcp::Engine::deadline(socket.ep);
  if (deadline == tcp::kNever) return;
  const std::uint64_t at_us = std::max((to_nanoseconds(deadline) + 999) / 1000, now_us_ + 1);
  if (socket.timer_at_us != 0 && socket.timer_at_us <= at_us && socket.timer_at_us > now_us_) return;
  socket.timer_at_us = at_us;
  push(at_us, Kind::timer, host, index);
}

void HttpWorld::ask(Socket& socket) {
  const Client& client = clients_[socket.client];
  const RequestPlan& plan = client.plans[socket.asked];
  const std::size_t number = socket.client * 1000 + socket.asked;
  std::string text = plan.method + " /" + std::to_string(number) + plan.path + " HTTP/1.1\r\nHost: svc.test\r\n";
  const std::string body = body_of(number, true, plan.body);
  if (plan.chunked)
    text += "Transfer-Encoding: chunked\r\n";
  else if (plan.body != 0 || plan.method == "POST")
    text += "Content-Length: " + std::to_string(plan.body) + "\r\n";
  if (plan.expect) text += "Expect: 100-continue\r\n";
  text += plan.headers;
  text += "X-Filler: " + std::string(random_.below(200), 'f') + "\r\n\r\n";
  text += plan.chunked ? chunked(body, random_) : body;
  if (options_.head_cut != 0 && socket.asked == 0) text.resize(options_.head_cut);
  socket.out += text;
  ++socket.asked;
}

void HttpWorld::client_step(Socket& socket) {
  Client& client = clients_[socket.client];
  for (;;) {
    while (!socket.finish && socket.asked < client.plans.size() && socket.asked - client.done < options_.pipeline &&
           socket.asked >= socket.first_open && now_us() >= client.plans[socket.asked].not_before_us)
      ask(socket);
    if (client.done >= socket.asked) break;
    const RequestPlan& plan = client.plans[client.done];
    HttpTaken taken = take_message(socket.in, true, plan.method == "HEAD", socket.ended || socket.lost);
    if (!taken.broken.empty()) return fail("a client got " + taken.broken);
    if (!taken.complete) break;
    const int status = taken.head->status();
    if (status < 200) continue;
    const std::size_t number = socket.client * 1000 + client.done;
    if (status != plan.expected) return fail("status " + std::to_string(status) + " for " + std::to_string(number));
    if (status == 200 && plan.fault != ServerFault::cut_body) {
      const std::size_t octets = plan.method == "HEAD" || plan.answer == Answer::empty ? 0 : plan.answer_body;
      if (taken.head->field("x-number") != std::to_string(number))
        return fail("answer " + taken.head->field("x-number") + " to " + std::to_string(number));
      if (taken.head->body != body_of(number, false, octets)) return fail("a body is wrong");
    }
    last_response_ = *taken.head;
    ++client.done;
    ++answered_;
    answered_at_us_ = now_us_;
    client.tries = 0;
    if (taken.head->field("connection") == "close" || taken.head->until_close) {
      socket.finish = true;
      socket.asked = client.done;
    }
  }
  if (socket.ended || client.done == client.plans.size()) socket.finish = true;
}

/// A plain reading of the header that the cluster's policy says: a line, or a length behind 14 octets.
bool HttpWorld::take_preface(Socket& socket) {
  if (options_.policy.proxy_protocol == control::ProxyProtocol::off || socket.introduced) return true;
  std::size_t octets = 0;
  if (options_.policy.proxy_protocol == control::ProxyProtocol::v1) {
    octets = socket.in.find("\r\n") + 2;
    if (octets == 1) return false;
  } else {
    if (socket.in.size() < 16) return false;
    octets = 16 + (static_cast<unsigned char>(socket.in[14]) << 8 | static_cast<unsigned char>(socket.in[15]));
    if (socket.in.size() < octets) return false;
  }
  socket.introduced = true;
  prefaces_.push_back(socket.in.substr(0, octets));
  socket.in.erase(0, octets);
  return true;
}

/// True when a whole request was taken and answered.
bool HttpWorld::serve_one(Socket& socket) {
  if (!take_preface(socket)) return false;
  HttpTaken taken = take_message(socket.in, false, false, false);
  if (!taken.broken.empty()) return fail("a server got " + taken.broken), false;
  if (!taken.head) return false;
  const std::string& line = taken.head->start_line;
  const std::size_t slash = line.find('/');
  if (slash == std::string::npos) return fail("a server got the request line '" + line + "'"), false;
  const std::size_t number = std::stoul(line.substr(slash + 1));
  if (number / 1000 >= clients_.size() || number % 1000 >= clients_[number / 1000].plans.size())
    return fail("a server got a request that nobody sent: " + line), false;
  const RequestPlan& plan = clients_[number / 1000].plans[number % 1000];
  if (!taken.complete && taken.head->field("expect") == "100-continue" && !std::exchange(socket.continued, true))
    socket.out += "HTTP/1.1 100 Continue\r\n\r\n";
  if (!taken.complete && !plan.early) return false;
  if (!taken.complete && std::exchange(socket.early_done, true)) return false;
  if (taken.complete && std::exchange(socket.early_done, false)) return true;
  socket.continued = false;
  if (taken.complete && taken.head->body != body_of(number, true, plan.body))
    return fail("a request's body is wrong"), false;
  if (taken.complete && taken.head->field("connection") == "close") {
    ++copies_;
    static_cast<void>(answer(socket, plan, number, false));
    socket.finish = true;
    return true;
  }
  last_request_ = *taken.head;
  const int seen = ++seen_[number];
  for (std::size_t e = 0; e < options_.endpoints; ++e)
    if (socket.key.local == endpoint_address(IpFamily::v4, static_cast<std::uint8_t>(e + 1))) ++served_[e];
  if (!answer(socket, plan, number, seen == 1)) return false;
  return taken.complete;
}

/// False when nothing more is answered on this connection.
bool HttpWorld::answer(Socket& socket, const RequestPlan& plan, std::size_t number, bool first) {
  const ServerFault fault = first ? plan.fault : ServerFault::none;
  if (fault == ServerFault::silent) return false;
  if (fault == ServerFault::close_unanswered) return socket.finish = true, false;
  if (fault == ServerFault::reset_unanswered) {
    static_cast<void>(hosts_[1].engine->abort(socket.ep));
    return false;
  }
  if (plan.interim) socket.out += "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
  if (fault == ServerFault::answer_503) {
    socket.out += "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno";
    return true;
  }
  std::string body = body_of(number, false, plan.answer_body);
  std::string head = "HTTP/1.1 200 OK\r\nX-Number: " + std::to_string(number) + "\r\n";
  const bool head_only = plan.method == "HEAD";
  if (plan.close_after) head += "Connection: close\r\n";
  switch (plan.answer) {
    case Answer::counted:
      head += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n";
      break;
    case Answer::chunked:
      head += "Transfer-Encoding: chunked\r\n\r\n";
      body = chunked(body, random_);
      break;
    case Answer::until_close:
      head += "Connection: close\r\n\r\n";
      socket.finish = true;
      break;
    case Answer::empty:
      head += "Content-Length: 0\r\n\r\n";
      body.clear();
      break;
    case Answer::not_modified:
      head = "HTTP/1.1 304 Not Modified\r\nX-Number: " + std::to_string(number) + "\r\n\r\n";
      body.clear();
      break;
  }
  if (fault == ServerFault::cut_body) body.resize(body.size() / 2), socket.finish = true;
  socket.out += head + (head_only ? "" : body);
  if (plan.close_after) socket.finish = true;
  return true;
}

void HttpWorld::server_step(Socket& socket) {
  const std::size_t before = socket.out.size();
  while (failure_.empty() && !socket.finish && serve_one(socket)) {
  }
  if (!socket.in.empty()) socket.idle_at_us = 0;
  if (options_.server_idle_us != 0 && socket.in.empty() && socket.out.size() != before) {
    socket.idle_at_us = now_us_ + options_.server_idle_us;
    const auto at = std::find_if(hosts_[1].sockets.begin(), hosts_[1].sockets.end(),
                                 [&](const auto& s) { return s.get() == &socket; });
    push(socket.idle_at_us, Kind::idle, 1, static_cast<std::size_t>(at - hosts_[1].sockets.begin()));
  }
  if (socket.ended) {
    if (!socket.in.empty() && !socket.finish && socket.in.find("\r\n\r\n") == std::string::npos)
      fail("a server's connection ends within a head");
    socket.finish = true;
  }
}

void HttpWorld::take_questions() {
  control::HttpQuestion question;
  while (questions_.pop(question)) {
    const auto answer = options_.decide ? options_.decide(question) : std::nullopt;
    if (!answer) continue;
    answers_.push_back(*answer);
    push(now_us_ + options_.answer_us, Kind::answer, 0, answers_.size() - 1);
  }
}

void HttpWorld::node_turns() {
  worker::Worker& worker = *world_->workers[0];
  for (int rounds = 0; worker.step(now()); ++rounds)
    if (rounds > 10000) return fail("the worker never comes to rest");
  take_questions();
  for (io::SentFrame& sent : world_->device->take_sent()) {
    for (const std::string& problem : test::problems_of(sent.bytes)) fail("bad frame sent: " + problem);
    sent.bytes.erase(sent.bytes.begin(), sent.bytes.begin() + kEthernet);
    travel(Kind::to_host, sent.port, std::move(sent.bytes));
  }
  const Instant deadline = worker.next_deadline();
  if (worker.flow_count() == 0 || deadline == Instant::max()) return;
  const std::uint64_t at_us = std::max((to_nanoseconds(deadline) + 999) / 1000, now_us_ + 1);
  if (node_at_us_ != 0 && node_at_us_ <= at_us && node_at_us_ > now_us_) return;
  node_at_us_ = at_us;
  push(at_us, Kind::node, 0, 0);
}

void HttpWorld::check_end() {
  for (std::size_t i = 0; i < clients_.size(); ++i)
    if (clients_[i].done != clients_[i].plans.size())
      fail("client " + std::to_string(i) + " got " + std::to_string(clients_[i].done) + " answers of " +
           std::to_string(clients_[i].plans.size()));
  const proxy::HttpProxy& http = world_->workers[0]->http();
  if (http.connections() != 0) fail("clients' connections are left");
  if (http.upstreams() != 0) fail("connections to endpoints are left");
  if (http.buffers() != 0) fail("buffers of the proxy are left: " + std::to_string(http.buffers()));
  if (world_->workers[0]->relay().size() != 0) fail("legs are left");
  if (world_->flows() != 0) fail("flows are left");
  if (world_->device->outstanding() > relay::kSpareFrames) fail("buffers of the device are missing");
  check_sums();
}

/// Every packet of ours is one to a client or one to an endpoint, but for cookies, which belong to no connection yet.
void HttpWorld::check_sums() {
  const control::WorkerCounters& counters = world_->counters(0);
  std::uint64_t packets = 0, octets = 0, sent = 0;
  for (const control::SlotCounters& slot : counters.slots) {
    // A flow has one slot here: a listener's rows have what we sent in tx, an endpoint's in rx.
    const bool listener = &slot < &counters.slots[kFirstEndpointSlot];
    packets += (listener ? slot.tx_packets : slot.rx_packets).read();
    octets += (listener ? slot.tx_octets : slot.rx_octets).read();
  }
  for (const control::PortCounters& port : counters.ports) sent += port.tx_octets.read();
  if (packets + counters.proxy.cookies_sent.read() != counters.proxy.segments_out.read())
    fail(std::to_string(packets) + " packets to clients and endpoints counted, " +
         std::to_string(counters.proxy.segments_out.read()) + " sent");
  constexpr std::uint64_t kLink = 14;
  if (counters.proxy.cookies_sent.read() + counters.resets_sent.read() == 0 && octets + kLink * packets != sent)
    fail(std::to_string(octets) + " octets to clients and endpoints counted, " + std::to_string(sent) + " sent");
}

}  // namespace penstock::sim
