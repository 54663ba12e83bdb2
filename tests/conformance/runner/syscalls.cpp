#include "tests/conformance/runner/syscalls.h"

#include <algorithm>
#include <array>

#include "tests/conformance/runner/arguments.h"
#include "tests/conformance/runner/info.h"

namespace penstock::script {
namespace {

// Options that are accepted and kept, and change nothing here.
constexpr std::array<std::string_view, 16> kWithoutEffect{
    "SO_REUSEADDR",    "SO_REUSEPORT", "SO_DEBUG",        "SO_DONTROUTE", "SO_PRIORITY",  "SO_MARK",
    "IP_TOS",          "TCP_QUICKACK", "SO_TIMESTAMPING", "TCP_LOG",      "SO_OOBINLINE", "SO_NOSIGPIPE",
    "IP_MTU_DISCOVER", "IP_FREEBIND",  "SO_ZEROCOPY",     "TCP_INQ"};

constexpr std::int64_t kDefaultMss = 536;  // of a socket without connection (RFC 9293 s3.7.1)
constexpr std::int64_t kMaxsegMin = 88, kMaxsegMax = 32767;

constexpr std::int64_t kIn = 1, kPri = 2, kOut = 4, kErr = 8, kHup = 16, kRdhup = 0x2000;
constexpr std::array<std::pair<std::string_view, std::int64_t>, 8> kPollNames{{{"POLLIN", kIn},
                                                                               {"POLLRDNORM", 0},
                                                                               {"POLLPRI", kPri},
                                                                               {"POLLOUT", kOut},
                                                                               {"POLLWRNORM", 0},
                                                                               {"POLLERR", kErr},
                                                                               {"POLLHUP", kHup},
                                                                               {"POLLRDHUP", kRdhup}}};
std::int64_t poll_set(const Value* what) {
  if (what == nullptr) return 0;
  std::int64_t out = what->is(Value::Kind::number) ? what->number : 0;
  for (const auto& [name, bit] : kPollNames)
    if (has_flag(what->text, name)) out |= bit;
  return out;
}

}  // namespace

const Calls::Entry Calls::kEntries[] = {
    {"socket", &Calls::open, 3},
    {"bind", &Calls::bind, 1},
    {"listen", &Calls::listen, 2},
    {"accept", &Calls::accept, 1},
    {"accept4", &Calls::accept, 1},
    {"connect", &Calls::connect, 1},
    {"read", &Calls::read, 3},
    {"recv", &Calls::read, 4},
    {"recvfrom", &Calls::read, 4},
    {"readv", &Calls::read, 2},
    {"recvmsg", &Calls::read, 3},
    {"write", &Calls::write, 3},
    {"send", &Calls::write, 4},
    {"sendto", &Calls::write, 4},
    {"writev", &Calls::write, 2},
    {"sendmsg", &Calls::write, 3},
    {"open", &Calls::open_file, 2},
    {"sendfile", &Calls::write, 4},
    {"close", &Calls::close, 1},
    {"shutdown", &Calls::shutdown, 2},
    {"setsockopt", &Calls::set_option, 4},
    {"getsockopt", &Calls::get_option, 4},
    {"fcntl", &Calls::control, 2},
    {"ioctl", &Calls::query, 2},
    {"poll", &Calls::poll, 3},
    {"usleep", &Calls::sleep, 1},
    {"sleep", &Calls::sleep, 1},
};

Outcome Calls::attempt(const Call& call, Progress& progress) {
  if (!progress.begun) progress.started = host_.now();
  for (const Entry& entry : kEntries) {
    if (entry.name != call.name) continue;
    if (call.arguments.size() < entry.arguments_min) return unsupported("call " + call.name + " with few arguments");
    Outcome out = (this->*entry.handler)(call, progress);
    progress.begun = true;
    return out;
  }
  return unsupported("call " + call.name + "()");
}

Socket* Calls::socket_of(const Call& call) { return host_.find(number_of(call, 0, -1)); }

Outcome Calls::open(const Call& call, Progress&) {
  const std::string type = name_of(call, 1), protocol = name_of(call, 2);
  if (!has_flag(type, "SOCK_STREAM") || (protocol != "IPPROTO_TCP" && protocol != "0"))
    return unsupported("a socket of " + type + ", " + protocol);
  Socket& socket = host_.open_socket();
  host_.give_descriptor(socket, call.result.number);  // the script's number names the socket
  socket.nonblocking = has_flag(type, "SOCK_NONBLOCK");
  return value(socket.fd);
}

Outcome Calls::bind(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  if (socket->port != 0 || socket->kind != Socket::Kind::fresh) return error("EINVAL");
  socket->port = port_of(call, 1);
  return value(0);
}

Outcome Calls::listen(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  if (socket->kind == Socket::Kind::connection) return error("EINVAL");
  host_.listen(*socket, static_cast<std::size_t>(std::max<std::int64_t>(number_of(call, 1), 0)));
  return value(0);
}

Outcome Calls::accept(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  if (socket->kind != Socket::Kind::listening) return error("EINVAL");
  if (socket->ready.empty()) return socket->nonblocking ? error("EAGAIN") : blocked();
  Socket& child = *socket->ready.front();
  socket->ready.pop_front();
  host_.give_descriptor(child, call.result.number);
  child.nonblocking = has_flag(name_of(call, 3), "SOCK_NONBLOCK");
  return value(child.fd);
}

Outcome Calls::connect(const Call& call, Progress& progress) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  if (socket->kind == Socket::Kind::listening) return error("EISCONN");
  if (name_of(call, 1) == "AF_UNSPEC") {
    host_.disconnect(*socket);
    return value(0);
  }
  if (socket->kind == Socket::Kind::fresh) {
    const std::string problem = host_.connect(*socket, port_of(call, 1));
    if (!problem.empty()) return error(problem);
    return socket->nonblocking ? error("EINPROGRESS") : blocked();
  }
  if (!socket->error.empty()) {
    socket->connect_told = true;
    return error(std::exchange(socket->error, ""));
  }
  if (!socket->connected()) {
    if (socket->over()) return error("ECONNABORTED");
    return progress.begun ? blocked() : error("EALREADY");
  }
  const bool told = std::exchange(socket->connect_told, true);
  return told && !progress.begun ? error("EISCONN") : value(0);
}

bool Calls::readable(const Socket& socket) const {
  if (socket.kind == Socket::Kind::listening) return !socket.ready.empty();
  if (socket.kind != Socket::Kind::connection) return false;
  return socket.readable > 0 || socket.end_of_stream() || socket.over() || socket.waiting;
}

Outcome Calls::close(const Call& call, Progress&) {
  if (files_.erase(number_of(call, 0, -1)) > 0) return value(0);
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  host_.close(*socket);
  return value(0);
}

Outcome Calls::shutdown(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  const std::string how = name_of(call, 1);
  if (socket->kind != Socket::Kind::connection || socket->over() || socket->waiting) return error("ENOTCONN");
  if (how == "SHUT_RD" || how == "SHUT_RDWR" || how == "0" || how == "2") {
    socket->read_shut = true;
    if (settings_.bsd) static_cast<void>(take(*socket, socket->readable, false));  // BSD throws away what is there
  }
  if (how == "SHUT_WR" || how == "SHUT_RDWR" || how == "1" || how == "2") {
    socket->write_shut = true;
    socket->engine->shutdown(socket->ep);
    host_.pump(*socket);
  }
  return value(0);
}

void Calls::apply(Socket& socket) {
  tcp::Limits& limits = socket.limits;
  limits.nagle = settings_.limits.nagle && !socket.no_delay;
  limits.keepalive_idle = socket.keepalive ? socket.keepalive_idle : settings_.limits.keepalive_idle;
  if (socket.kind != Socket::Kind::connection) return;
  host_.renew(socket);
  const bool counts = socket.keepalive && socket.connected() && !socket.over() && !socket.waiting;
  if (counts)
    socket.ep.idle_timer = host_.now() + std::max(Duration::zero(), limits.keepalive_idle -
                                                                        tcp::age_of(socket.ep.last_heard, host_.now()));
  host_.pump(socket);
}

std::string Calls::set_one(Socket& socket, const std::string& name, const Value& argument) {
  const std::int64_t n = inside(argument).number;
  tcp::Limits& limits = socket.limits;
  const auto seconds = [n] { return std::chrono::seconds{n}; };
  if (name == "TCP_NODELAY")
    socket.no_delay = n != 0;
  else if (name == "TCP_CORK" || name == "TCP_NOPUSH")
    socket.cork = n != 0;
  else if (name == "SO_KEEPALIVE")
    socket.keepalive = n != 0;
  else if (name == "TCP_KEEPIDLE")
    socket.keepalive_idle = seconds();
  else if (name == "TCP_KEEPINTVL")
    limits.keepalive_interval = seconds();
  else if (name == "TCP_KEEPCNT")
    limits.keepalive_probes = static_cast<std::uint8_t>(std::clamp<std::int64_t>(n, 0, 255));
  else if (name == "TCP_SYNCNT")
    limits.syn_retries_max = limits.connect_retries_max =
        static_cast<std::uint8_t>(std::clamp<std::int64_t>(n, 0, 255));
  else if (name == "TCP_USER_TIMEOUT")
    limits.user_timeout = socket.user_timeout = std::chrono::milliseconds{n};
  else if (name == "TCP_KEEPINIT")
    socket.connect_timeout = seconds();
  else if (name == "TCP_MAXSEG" && n >= kMaxsegMin && n <= kMaxsegMax)
    socket.segment_max = static_cast<std::uint16_t>(n);
  else if (name == "TCP_LINGER2")
    limits.fin_wait_2 = seconds();
  else if (name == "SO_RCVBUF" && n > 0)
    limits.receive_budget_octets =
        static_cast<std::uint32_t>(std::min<std::int64_t>(n * settings_.buffer_factor, 1 << 30));
  else if (name == "SO_SNDBUF" && n > 0)
    limits.send_budget_octets =
        static_cast<std::uint32_t>(std::min<std::int64_t>(n * settings_.buffer_factor, 1 << 30));
  else if (std::find(kWithoutEffect.begin(), kWithoutEffect.end(), name) != kWithoutEffect.end())
    socket.options.emplace_back(name, n);
  else if (name == "SO_LINGER") {
    const Value *on = field_of(argument, "onoff"), *time = field_of(argument, "linger");
    if (on == nullptr || time == nullptr) return "SO_LINGER without {onoff=, linger=}";
    socket.linger = on->number != 0;
    socket.linger_seconds = time->number;
  } else if (name == "TCP_FUNCTION_BLK") {
    return "";  // there is one stack
  } else if (name == "TCP_CONGESTION") {
    return Settings::choose_congestion(limits, argument.text) ? "" : "congestion control " + argument.text;
  } else {
    return "socket option " + name;
  }
  return "";
}

Outcome Calls::set_option(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  const std::string name = name_of(call, 2), expected = call.error;
  // What a call refuses is the sockets layer's matter, which is not what is tested.
  if (!expected.empty()) return unsupported("setsockopt(" + name + ") that must fail");
  const std::string problem = set_one(*socket, name, call.arguments[3]);
  if (!problem.empty()) return unsupported(problem);
  apply(*socket);
  const bool pushes = (name == "TCP_NODELAY" && socket->no_delay) || (name == "TCP_CORK" && !socket->cork);
  if (pushes && socket->connected()) host_.release(*socket, socket->held);
  return value(0);
}

std::int64_t Calls::get_one(Socket& socket, const std::string& name, Outcome& out) {
  const tcp::Limits& limits = socket.limits;
  const auto seconds = [](Duration d) { return d / std::chrono::seconds{1}; };
  if (name == "TCP_NODELAY") return socket.no_delay ? 1 : 0;
  if (name == "SO_KEEPALIVE") return socket.keepalive ? 1 : 0;
  if (name == "TCP_KEEPIDLE") return seconds(socket.keepalive_idle);
  if (name == "TCP_KEEPINIT") return seconds(socket.connect_timeout);
  if (name == "TCP_KEEPINTVL") return seconds(limits.keepalive_interval);
  if (name == "TCP_KEEPCNT") return limits.keepalive_probes;
  if (name == "TCP_USER_TIMEOUT") return limits.user_timeout / std::chrono::milliseconds{1};
  if (name == "SO_RCVBUF") return limits.receive_budget_octets;
  if (name == "SO_SNDBUF") return limits.send_budget_octets;
  if (name == "SO_TYPE") return 1;
  if (name == "SO_ACCEPTCONN") return socket.kind == Socket::Kind::listening ? 1 : 0;
  if (name == "TCP_MAXSEG" && socket.kind == Socket::Kind::connection)
    return settings_.bsd ? socket.ep.pmtu.mss() : socket.ep.payload_max();
  if (name == "TCP_MAXSEG" && socket.kind != Socket::Kind::connection) return kDefaultMss;
  for (auto it = socket.options.rbegin(); it != socket.options.rend(); ++it)
    if (it->first == name) return it->second;
  out.unsupported = "socket option " + name;
  return 0;
}

std::string Calls::check_info(const Socket& socket, const Value& record, Outcome& out) {
  for (const auto& [field, expected] : record.fields) {
    if (expected.is(Value::Kind::any)) continue;
    const auto is = info_of({&socket, host_.pools(), host_.now(), settings_.bsd}, field);
    const auto wanted =
        expected.is(Value::Kind::number) ? std::optional{expected.number} : info_constant(expected.text);
    if (!is || !wanted) {
      out.unsupported = "TCP_INFO field " + field;
      return "";
    }
    if (*is != *wanted) return field + " is " + std::to_string(*is) + ", not " + std::to_string(*wanted);
  }
  return "";
}

Outcome Calls::get_option(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  const std::string name = name_of(call, 2);
  if (!call.error.empty()) return unsupported("getsockopt(" + name + ") that must fail");
  Outcome out = value(0);
  const Value& expected = inside(call.arguments[3]);
  if (name == "TCP_INFO") {
    out.mismatch = check_info(*socket, call.arguments[3], out);
    return out;
  }
  if (name == "SO_ERROR") {
    const std::string is = std::exchange(socket->error, "");
    const bool none = expected.is(Value::Kind::number) && expected.number == 0;
    const bool same = expected.is(Value::Kind::any) || (none ? is.empty() : expected.text == is);
    if (!none && expected.is(Value::Kind::number)) out.unsupported = "errno as a number";
    if (!same) out.mismatch = "SO_ERROR is " + (is.empty() ? "0" : is);
    return out;
  }
  if (name == "SO_LINGER") {
    const Value *on = field_of(expected, "onoff"), *time = field_of(expected, "linger");
    if (on == nullptr || time == nullptr) return unsupported("SO_LINGER without {onoff=, linger=}");
    if ((on->number != 0) != socket->linger || time->number != socket->linger_seconds)
      out.mismatch = "SO_LINGER differs";
    return out;
  }
  const std::int64_t is = get_one(*socket, name, out);
  if (expected.is(Value::Kind::number) && expected.number != is) out.mismatch = name + " is " + std::to_string(is);
  return out;
}

Outcome Calls::control(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  const std::string command = name_of(call, 1);
  constexpr std::int64_t kReadWrite = 2;
  if (command == "F_GETFL") {
    const bool linux_bits = (call.result.number & 0x800) != 0;  // O_NONBLOCK is 0x800 on Linux, 4 on FreeBSD
    return value(kReadWrite | (!socket->nonblocking ? 0 : linux_bits ? 0x800 : 4));
  }
  if (command != "F_SETFL") return unsupported("fcntl(" + command + ")");
  if (!only_flags(name_of(call, 2), {"O_RDWR", "O_NONBLOCK"}))
    return unsupported("fcntl(F_SETFL, " + name_of(call, 2) + ")");
  socket->nonblocking = has_flag(name_of(call, 2), "O_NONBLOCK");
  return value(0);
}

Outcome Calls::query(const Call& call, Progress&) {
  Socket* socket = socket_of(call);
  if (socket == nullptr) return error("EBADF");
  const std::string request = name_of(call, 1);
  std::int64_t is = 0;
  if (request == "FIONREAD" || request == "SIOCINQ")
    is = socket->readable;
  else if (request == "SIOCOUTQ")
    is = socket->over() ? 0 : socket->ep.queue.end().since(socket->ep.queue.una()).octets;
  else if (request == "SIOCOUTQNSD")
    is = socket->over() ? 0 : socket->ep.queue.unsent_span();
  else
    return unsupported("ioctl(" + request + ")");
  Outcome out = value(0);
  if (call.arguments.size() > 2) {
    const Value& expected = inside(call.arguments[2]);
    if (expected.is(Value::Kind::number) && expected.number != is) out.mismatch = request + " is " + std::to_string(is);
  }
  return out;
}

std::int64_t Calls::events_of(const Socket& socket) const {
  std::int64_t out = readable(socket) ? kIn : 0;
  if (socket.kind != Socket::Kind::connection) return out;
  if (socket.end_of_stream()) out |= kRdhup;
  if (!socket.error.empty()) out |= kErr;
  const bool ended = socket.over() || socket.waiting || (socket.end_of_stream() && socket.write_shut);
  if (ended) out |= kHup;
  if (ended || (socket.connected() && socket.engine->writable(socket.ep) > 0)) out |= kOut;
  return out;
}

Outcome Calls::poll(const Call& call, Progress& progress) {
  const std::int64_t timeout_ms = number_of(call, 2);
  std::int64_t count = 0;
  std::string mismatch;
  for (const Value& entry : call.arguments[0].items) {
    const Value* fd = field_of(entry, "fd");
    Socket* socket = fd == nullptr ? nullptr : host_.find(fd->number);
    if (socket == nullptr) return unsupported("poll() of no socket");
    const std::int64_t is = events_of(*socket) & (poll_set(field_of(entry, "events")) | kErr | kHup);
    const std::int64_t expected = poll_set(field_of(entry, "revents"));
    if (is != 0) ++count;
    if (is != expected) mismatch = "revents are " + std::to_string(is) + ", not " + std::to_string(expected);
  }
  const bool over = timeout_ms >= 0 && host_.now() >= progress.started + std::chrono::milliseconds{timeout_ms};
  if (count == 0 && !over) return blocked();
  Outcome out = value(count);
  out.mismatch = mismatch;
  return out;
}

Outcome Calls::sleep(const Call& call, Progress& progress) {
  const std::int64_t count = number_of(call, 0);
  if (count < 0 || count > 1'000'000'000) return error("EINVAL");
  const Duration length =
      call.name == "sleep" ? Duration{std::chrono::seconds{count}} : std::chrono::microseconds{count};
  return host_.now() >= progress.started + length ? value(0) : blocked();
}

}  // namespace penstock::script
