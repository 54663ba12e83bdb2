#include "dataplane/app/control_server.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace penstock::app {
namespace {

namespace v1 = control::v1;

void log_line(const std::string& text) { std::fprintf(stderr, "penstock-dataplane: %s\n", text.c_str()); }

Fd take_first(std::vector<Fd>& fds) { return fds.empty() ? Fd{} : std::move(fds.front()); }

}  // namespace

std::size_t ControlServer::count(Role role) const {
  return static_cast<std::size_t>(
      std::count_if(sessions_.begin(), sessions_.end(), [role](const auto& s) { return s->role == role; }));
}

std::string ControlServer::run() {
  while (stop_reason_.empty()) {
    std::vector<pollfd> waiting{{signals_.get(), POLLIN, 0}, {listener_.fd(), POLLIN, 0}};
    for (const auto& session : sessions_) waiting.push_back({session->channel.fd(), POLLIN, 0});
    const std::size_t events_at = waiting.size();
    for (const int fd : dataplane_.event_fds()) waiting.push_back({fd, POLLIN, 0});
    const auto wait = std::chrono::duration_cast<std::chrono::milliseconds>(dataplane_.on_time(monotonic_now()));
    tell_lost_ports();
    ::poll(waiting.data(), waiting.size(), wait.count() == 0 ? 0 : static_cast<int>(wait.count()) + 1);
    if (waiting[0].revents != 0) {
      signalfd_siginfo info{};
      [[maybe_unused]] const ssize_t octets = ::read(signals_.get(), &info, sizeof info);
      stop_reason_ = std::string{"signal "} + ::strsignal(static_cast<int>(info.ssi_signo));
      break;
    }
    for (std::size_t i = events_at; i < waiting.size(); ++i)
      if (waiting[i].revents != 0) {
        dataplane_.on_events();
        break;
      }
    for (std::size_t i = 2; i < events_at; ++i)
      if (waiting[i].revents != 0) serve(*sessions_[i - 2]);
    const Instant now = monotonic_now();
    std::erase_if(sessions_, [now](const auto& session) {
      return !session->channel.open() || (session->role == Role::unknown && now - session->since > kHelloWait);
    });
    if (waiting[1].revents != 0) accept_all(now);
  }
  return stop_reason_;
}

void ControlServer::accept_all(Instant now) {
  for (;;) {
    auto channel = listener_.accept();
    if (!channel || !channel->open()) return;
    // Room for one daemon and all readers, and as many that have not said yet what they are.
    if (sessions_.size() > 2 * kReadersMax) continue;
    channel->set_blocking(false);
    sessions_.push_back(std::make_unique<Session>(Session{std::move(*channel), Role::unknown, now}));
  }
}

void ControlServer::serve(Session& session) {
  auto received = session.channel.receive();
  if (!received) {
    log_line(received.error().text());
    session.channel.close();
    return;
  }
  if (received->arrival == control::Arrival::nothing) return;
  if (received->arrival == control::Arrival::closed) {
    session.channel.close();
    return;
  }
  if (session.role == Role::unknown)
    greet(session, *received);
  else
    carry_out(session, std::move(*received));
}

Status ControlServer::refuse_hello(const Session& session, const v1::Hello& hello) const {
  if (!control::protocol_spoken(hello.protocol_major(), hello.protocol_minor()))
    return Problem{
        "hello",
        "protocol " + control::protocol_text(hello.protocol_major(), hello.protocol_minor()) + " is not spoken here",
        "use a daemon of protocol " + control::protocol_text(control::kProtocolMajor, control::kProtocolMinor)};
  if (hello.reader()) {
    if (count(Role::reader) >= kReadersMax) return Problem{"hello", "too many readers", "close one"};
    return Done{};
  }
  const uid_t uid = session.channel.peer().uid;
  if (uid != 0 && uid != ::geteuid()) return Problem{"hello", "only the owner may command", "run as root"};
  if (count(Role::daemon) != 0) return Problem{"hello", "another daemon is connected", "stop it"};
  return Done{};
}

void ControlServer::greet(Session& session, const control::Received& received) {
  const bool is_hello = received.envelope.has_hello();
  const Status refused = is_hello ? refuse_hello(session, received.envelope.hello())
                                  : Status{Problem{"hello", "the first message is no Hello", ""}};
  if (!refused) {
    answer(session, received.envelope.sequence(), refused);
    session.channel.close();
    return;
  }
  const bool reader = received.envelope.hello().reader();
  auto fds = dataplane_.hello_fds(reader);
  if (!fds) {
    answer(session, received.envelope.sequence(), fds.error());
    session.channel.close();
    return;
  }
  std::vector<int> numbers;
  for (const Fd& fd : *fds) numbers.push_back(fd.get());
  v1::Envelope envelope;
  envelope.set_sequence(received.envelope.sequence());
  *envelope.mutable_hello() = dataplane_.hello();
  envelope.mutable_hello()->set_reader(reader);
  session.role = reader ? Role::reader : Role::daemon;
  send(session, envelope, numbers);
}

Status ControlServer::command(control::Received& received) {
  const v1::Envelope& envelope = received.envelope;
  switch (envelope.body_case()) {
    case v1::Envelope::kAddPort: {
      Fd netns = take_first(received.fds);
      if (envelope.add_port().netns_fd() != static_cast<bool>(netns))
        return Problem{envelope.add_port().name(), "its network namespace is missing or was not announced", ""};
      return dataplane_.add_port(envelope.add_port(), std::move(netns));
    }
    case v1::Envelope::kRemovePort:
      if (envelope.remove_port().index() >= control::kPortMax) return Problem{"port", "index is out of range", ""};
      return dataplane_.remove_port(static_cast<PortIndex>(envelope.remove_port().index()));
    case v1::Envelope::kPublishSnapshot:
      return dataplane_.publish_snapshot(envelope.publish_snapshot(), take_first(received.fds));
    case v1::Envelope::kHeartbeats:
      return dataplane_.set_heartbeats(take_first(received.fds));
    case v1::Envelope::kRestoreFlows:
      if (received.fds.size() != envelope.restore_flows().arenas())
        return Problem{"restore", "another number of arenas came than announced", ""};
      return dataplane_.restore_flows(std::move(received.fds));
    case v1::Envelope::kForwards:
      return dataplane_.set_forwards(envelope.forwards(), std::move(received.fds));
    case v1::Envelope::kShutdown:
      stop_reason_ = "told to: " + envelope.shutdown().reason();
      return Done{};
    default:
      return Problem{"control", "message is not a command that is known here", "the peer is newer than this process"};
  }
}

void ControlServer::carry_out(Session& session, control::Received received) {
  const std::uint64_t sequence = received.envelope.sequence();
  if (received.envelope.has_get_state()) {
    v1::Envelope envelope;
    envelope.set_sequence(sequence);
    *envelope.mutable_state() = dataplane_.state();
    send(session, envelope);
    return;
  }
  if (session.role == Role::reader) {
    answer(session, sequence, Problem{"control", "a reader may only ask", ""});
    return;
  }
  const Status status = command(received);
  if (!status) log_line(status.error().text());
  answer(session, sequence, status);
}

void ControlServer::answer(Session& session, std::uint64_t sequence, const Status& status) {
  v1::Envelope envelope;
  envelope.set_sequence(sequence);
  v1::Ack& ack = *envelope.mutable_ack();
  ack.set_ok(status.ok());
  if (!status) {
    const Problem& problem = status.error();
    ack.set_error(problem.place.empty() ? problem.what : problem.place + ": " + problem.what);
    ack.set_remedy(problem.remedy);
  }
  send(session, envelope);
}

void ControlServer::send(Session& session, const v1::Envelope& envelope, std::span<const int> fds) {
  if (auto sent = session.channel.send(envelope, fds); !sent) {
    log_line(sent.error().text());
    session.channel.close();
  }
}

void ControlServer::tell_lost_ports() {
  for (const LostPort& lost : dataplane_.take_lost_ports()) {
    log_line("port " + std::to_string(lost.index) + ": " + lost.reason);
    v1::Envelope envelope;
    envelope.mutable_port_event()->set_index(lost.index);
    envelope.mutable_port_event()->set_gone(true);
    envelope.mutable_port_event()->set_reason(lost.reason);
    for (const auto& session : sessions_)
      if (session->role == Role::daemon) send(*session, envelope);
  }
}

}  // namespace penstock::app
