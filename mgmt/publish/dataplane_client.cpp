#include "mgmt/publish/dataplane_client.h"

#include <unistd.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "mgmt/telemetry/version.h"

namespace penstock::publish {
namespace {

namespace asio = boost::asio;
constexpr auto kNoThrow = asio::as_tuple(asio::use_awaitable);

Problem dataplane_problem(const std::string& what) {
  return {"penstock-dataplane", what, "see its log; the daemon starts it again when it ends"};
}

v1::Envelope hello_of_daemon(bool reader) {
  v1::Envelope envelope;
  v1::Hello& hello = *envelope.mutable_hello();
  hello.set_protocol_major(control::kProtocolMajor);
  hello.set_protocol_minor(control::kProtocolMinor);
  hello.set_build(telemetry::kBuild);
  hello.set_pid(static_cast<std::uint32_t>(::getpid()));
  hello.set_reader(reader);
  return envelope;
}

Status check_hello(const control::Received& received) {
  if (received.arrival != control::Arrival::message) return dataplane_problem("closed the connection before its Hello");
  if (received.envelope.has_ack())
    return dataplane_problem("refused the connection: " + received.envelope.ack().error());
  if (!received.envelope.has_hello()) return dataplane_problem("first message is no Hello");
  const v1::Hello& hello = received.envelope.hello();
  if (!control::protocol_spoken(hello.protocol_major(), hello.protocol_minor()))
    return Problem{"penstock-dataplane",
                   "speaks protocol " + control::protocol_text(hello.protocol_major(), hello.protocol_minor()) +
                       ", this side " + control::protocol_text(control::kProtocolMajor, control::kProtocolMinor),
                   "use programs of the same version"};
  if (hello.worker_count() == 0 || hello.worker_count() > control::kWorkerMax)
    return dataplane_problem("claims " + std::to_string(hello.worker_count()) + " workers");
  if (hello.connection_arenas() != hello.worker_count())
    return dataplane_problem("has " + std::to_string(hello.connection_arenas()) + " connection arenas for " +
                             std::to_string(hello.worker_count()) + " workers");
  return Done{};
}

Result<telemetry::SegmentMapping> open_segment(const v1::Hello& hello, int fd, bool writable) {
  auto segment = telemetry::SegmentMapping::open(fd, writable);
  if (segment && segment->view.worker_count() != hello.worker_count())
    return dataplane_problem("its segment has another number of workers than its Hello");
  return segment;
}

Status check_fds(const control::Received& received, std::size_t expected) {
  if (received.fds.size() == expected) return Done{};
  return dataplane_problem("sent " + std::to_string(received.fds.size()) + " descriptors, expected " +
                           std::to_string(expected));
}

/// The fds of a full Hello, in the order that control.proto states.
Result<DataplaneHello> unpack(control::Received received) {
  if (const Status checked = check_hello(received); !checked) return checked.error();
  const std::size_t workers = received.envelope.hello().worker_count();
  if (const Status counted = check_fds(received, 1 + 4 * workers); !counted) return counted.error();
  auto segment = open_segment(received.envelope.hello(), received.fds[0].get(), true);
  if (!segment) return segment.error();
  DataplaneHello out{std::move(*received.envelope.mutable_hello()), std::move(*segment), {}, {}, {}, {}};
  for (std::size_t i = 0; i < workers; ++i) out.question_events.push_back(std::move(received.fds[1 + i]));
  for (std::size_t i = 0; i < workers; ++i) out.answer_events.push_back(std::move(received.fds[1 + workers + i]));
  for (std::size_t i = 0; i < workers; ++i) out.arenas.push_back(std::move(received.fds[1 + 2 * workers + i]));
  for (std::size_t i = 0; i < workers; ++i)
    out.connection_arenas.push_back(std::move(received.fds[1 + 3 * workers + i]));
  return out;
}

}  // namespace

/// A caller of call(); the timer ends its wait.
struct DataplaneClient::Waiting {
  explicit Waiting(asio::io_context& loop) : timer{loop} {}
  asio::steady_timer timer;
  std::optional<v1::Envelope> answer;
  bool failed{};
};

/// The socket as the event loop sees it: a duplicate, so that each side closes its own.
struct DataplaneClient::Wakeup {
  Wakeup(asio::io_context& loop, int fd) : descriptor{loop, ::dup(fd)} {}
  asio::posix::stream_descriptor descriptor;
};

DataplaneClient::DataplaneClient(asio::io_context& loop, control::Channel channel)
    : loop_{loop}, channel_{std::move(channel)}, wakeup_{std::make_shared<Wakeup>(loop, channel_.fd())} {
  channel_.set_blocking(false);
}

DataplaneClient::~DataplaneClient() { close(); }

Task<Result<DataplaneClient::Pointer>> DataplaneClient::open(asio::io_context& loop, control::Channel channel) {
  Pointer client{new DataplaneClient{loop, std::move(channel)}};  // private constructor
  const Status exchanged = co_await client->exchange_hello();
  if (!exchanged) co_return exchanged.error();
  client->connected_ = true;
  asio::co_spawn(loop, read_loop(client), asio::detached);
  co_return client;
}

Task<Status> DataplaneClient::exchange_hello() {
  if (const Status sent = channel_.send(hello_of_daemon(false)); !sent) co_return sent.error();
  asio::steady_timer deadline{loop_, kHelloTimeout};
  deadline.async_wait([wakeup = wakeup_](boost::system::error_code error) {
    if (!error) wakeup->descriptor.cancel();
  });
  const auto [error] = co_await wakeup_->descriptor.async_wait(asio::posix::descriptor_base::wait_read, kNoThrow);
  if (error) co_return dataplane_problem("did not answer the Hello");
  auto received = channel_.receive();
  if (!received) co_return received.error();
  auto hello = unpack(std::move(*received));
  if (!hello) co_return hello.error();
  hello_ = std::move(*hello);
  co_return Done{};
}

// Holds the client only while it has something to read, so that dropping the last pointer ends the loop.
Task<void> DataplaneClient::read_loop(std::weak_ptr<DataplaneClient> weak) {
  for (;;) {
    std::shared_ptr<Wakeup> wakeup;
    if (const Pointer self = weak.lock(); self && self->connected_) wakeup = self->wakeup_;
    if (!wakeup) co_return;
    const auto [error] = co_await wakeup->descriptor.async_wait(asio::posix::descriptor_base::wait_read, kNoThrow);
    const Pointer self = weak.lock();
    if (error || !self || !self->connected_) co_return;
    for (;;) {
      auto received = self->channel_.receive();
      if (!received) {
        self->fail(received.error().text());
        co_return;
      }
      if (received->arrival == control::Arrival::closed) {
        self->fail("closed the connection");
        co_return;
      }
      if (received->arrival == control::Arrival::nothing) break;
      self->take(std::move(received->envelope));
      if (!self->connected_) co_return;
    }
  }
}

void DataplaneClient::take(v1::Envelope&& envelope) {
  if (envelope.has_port_event()) {
    if (on_port_event) on_port_event(envelope.port_event());
    return;
  }
  const auto found = waiting_.find(envelope.sequence());
  if (found == waiting_.end()) return;  // its caller has given up
  found->second->answer = std::move(envelope);
  found->second->timer.cancel();
}

void DataplaneClient::fail(const std::string& why) {
  if (!connected_) return;
  const auto told = on_closed;
  close();
  if (told) told(why);
}

void DataplaneClient::close() {
  connected_ = false;
  boost::system::error_code ignored;
  wakeup_->descriptor.close(ignored);
  channel_.close();
  for (auto& [sequence, waiting] : waiting_) {
    waiting->failed = true;
    waiting->timer.cancel();
  }
}

Task<Result<v1::Envelope>> DataplaneClient::call(v1::Envelope envelope, std::vector<int> fds,
                                                 std::chrono::milliseconds at_most) {
  const Pointer self = shared_from_this();  // lives until the answer is here
  if (!connected_) co_return dataplane_problem("is not connected");
  const std::uint64_t sequence = next_sequence_++;
  envelope.set_sequence(sequence);
  if (const Status sent = channel_.send(envelope, fds); !sent) co_return sent.error();
  const auto waiting = std::make_shared<Waiting>(loop_);
  waiting_.emplace(sequence, waiting);
  waiting->timer.expires_after(at_most);
  co_await waiting->timer.async_wait(kNoThrow);
  waiting_.erase(sequence);
  if (waiting->answer) co_return std::move(*waiting->answer);
  if (waiting->failed) co_return dataplane_problem("went away before it answered");
  co_return dataplane_problem("did not answer within " + std::to_string(at_most.count()) + " ms");
}

Task<Status> DataplaneClient::request(v1::Envelope envelope, std::vector<int> fds, std::chrono::milliseconds at_most) {
  auto answer = co_await call(std::move(envelope), std::move(fds), at_most);
  if (!answer) co_return answer.error();
  if (!answer->has_ack()) co_return dataplane_problem("answered with another message than an Ack");
  if (!answer->ack().ok()) co_return Problem{"penstock-dataplane", answer->ack().error(), answer->ack().remedy()};
  co_return Done{};
}

Task<Result<v1::State>> DataplaneClient::get_state() {
  v1::Envelope envelope;
  envelope.mutable_get_state();
  auto answer = co_await call(std::move(envelope), std::vector<int>{}, kRequestTimeout);
  if (!answer) co_return answer.error();
  if (!answer->has_state()) co_return dataplane_problem("answered with another message than its State");
  co_return std::move(*answer->mutable_state());
}

Result<ReaderView> open_reader(const std::string& socket_path, std::chrono::milliseconds at_most) {
  auto channel = control::Channel::connect(socket_path);
  if (!channel) return channel.error();
  if (const Status sent = channel->send(hello_of_daemon(true)); !sent) return sent.error();
  auto received = channel->receive_within(at_most);
  if (!received) return received.error();
  if (const Status checked = check_hello(*received); !checked) return checked.error();
  const std::size_t workers = received->envelope.hello().worker_count();
  if (const Status counted = check_fds(*received, 1 + 2 * workers); !counted) return counted.error();
  auto segment = open_segment(received->envelope.hello(), received->fds[0].get(), false);
  if (!segment) return segment.error();
  ReaderView out{std::move(*received->envelope.mutable_hello()), std::move(*segment), {}, {}};
  for (std::size_t i = 0; i < workers; ++i) out.arenas.push_back(std::move(received->fds[1 + i]));
  for (std::size_t i = 0; i < workers; ++i) out.connection_arenas.push_back(std::move(received->fds[1 + workers + i]));
  return out;
}

}  // namespace penstock::publish
