#include "mgmt/daemon/supervisor.h"

#include <poll.h>
#include <signal.h>
#include <spdlog/spdlog.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "mgmt/daemon/clock.h"

namespace penstock::daemon {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

constexpr milliseconds kPollInterval{20};
constexpr milliseconds kWatchInterval{100};

}  // namespace

Supervisor::Supervisor(asio::io_context& loop, SupervisorOptions options)
    : loop_{loop}, options_{std::move(options)}, pause_{loop} {}

Task<void> Supervisor::pause(milliseconds time) {
  pause_.expires_after(time);
  co_await pause_.async_wait(asio::as_tuple(asio::use_awaitable));
}

bool Supervisor::process_ended() const {
  if (!process_.running()) return true;
  pollfd ended{process_.pidfd.get(), POLLIN, 0};
  return ::poll(&ended, 1, 0) > 0;
}

bool Supervisor::watchdog_expired() const {
  const Instant at = now();
  for (std::size_t w = 0; w < client_->segment().worker_count(); ++w) {
    const Instant beat = std::max(from_nanoseconds(client_->segment().counters(w).beat_ns.read()), started_);
    if (at - beat > options_.watchdog) return true;
  }
  return false;
}

Task<bool> Supervisor::adopt() {
  auto channel = control::Channel::connect(options_.socket_path);
  if (!channel) co_return false;
  const pid_t pid = channel->peer().pid;
  auto process = adopt_process(pid);
  if (!process) co_return false;
  process_ = std::move(*process);
  auto client = co_await DataplaneClient::open(loop_, std::move(*channel));
  if (!client) {
    spdlog::warn("cannot adopt the running dataplane (pid {}): {}; ending it", pid, client.error().text());
    send_signal(process_, SIGKILL);
    (void)co_await ended_within(kStopTimeout);
    (void)reap(process_);
    co_return false;
  }
  client_ = std::move(*client);
  adopted_ = true;
  spdlog::info("adopted the running dataplane, pid {}", pid);
  co_return true;
}

Task<Status> Supervisor::connect_until(SteadyClock::time_point deadline) {
  while (SteadyClock::now() < deadline) {
    if (process_ended()) co_return Problem{options_.binary, reap(process_) + " while starting", "see its log above"};
    auto channel = control::Channel::connect(options_.socket_path);
    if (channel) {
      auto client = co_await DataplaneClient::open(loop_, std::move(*channel));
      if (!client) co_return client.error();
      client_ = std::move(*client);
      co_return Done{};
    }
    co_await pause(kPollInterval);
    if (stopping_) co_return Problem{options_.binary, "stopped while starting", ""};
  }
  co_return Problem{options_.binary, "its control socket did not answer within 30 s", "see its log above"};
}

Task<Status> Supervisor::start() {
  auto process = spawn(options_.binary, options_.arguments);
  if (!process) co_return process.error();
  process_ = std::move(*process);
  adopted_ = false;
  Status connected = co_await connect_until(SteadyClock::now() + kStartTimeout);
  if (connected) spdlog::info("dataplane runs, pid {}", process_.pid);
  if (!connected && process_.running()) {
    send_signal(process_, SIGKILL);
    (void)co_await ended_within(kStopTimeout);
    (void)reap(process_);
  }
  co_return connected;
}

/// Until the process is to be replaced; the reason why.
Task<std::string> Supervisor::watch() {
  closed_why_.clear();
  client_->on_closed = [this](const std::string& why) { closed_why_ = why; };
  const milliseconds interval = std::min(kWatchInterval, options_.watchdog / 4);
  while (!stopping_) {
    if (process_ended()) co_return reap(process_);
    if (!client_->connected() || watchdog_expired()) break;
    co_await pause(interval);
  }
  if (stopping_) co_return "stopping";
  // Let a process that is just ending tell how before it is ended.
  if (!client_->connected()) {
    const bool ended = co_await ended_within(milliseconds{200});
    if (ended) co_return reap(process_);
  }
  const std::string why = client_->connected() ? "watchdog: a worker has been silent for " +
                                                     std::to_string(options_.watchdog.count()) + " ms"
                                               : "control connection: " + closed_why_;
  send_signal(process_, SIGKILL);
  (void)co_await ended_within(kStopTimeout);
  (void)reap(process_);
  co_return why;
}

Task<void> Supervisor::run() {
  bool may_adopt = true;
  while (!stopping_) {
    state_ = "starting";
    started_ = now();
    Status up = Done{};
    bool adopted = false;
    if (may_adopt) adopted = co_await adopt();
    may_adopt = false;
    if (!adopted) up = co_await start();
    if (stopping_) co_return;
    if (up) {
      state_ = "running";
      started_ = now();
      if (on_connected) on_connected(client_);
      last_exit_ = co_await watch();
      if (stopping_) co_return;
    } else {
      last_exit_ = up.error().text();
    }
    const DataplaneClient::Pointer lost = std::exchange(client_, nullptr);
    if (lost) lost->close();
    state_ = "waiting";
    const milliseconds wait = backoff_.after(now() - started_);
    spdlog::error("dataplane {}; starting it again in {} ms", last_exit_, wait.count());
    if (on_lost) on_lost(lost, last_exit_);
    co_await pause(wait);
    ++restarts_;
  }
}

Task<bool> Supervisor::ended_within(milliseconds at_most) {
  asio::steady_timer timer{loop_};
  for (const auto end = SteadyClock::now() + at_most; SteadyClock::now() < end;) {
    if (process_ended()) co_return true;
    timer.expires_after(kPollInterval);
    co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
  }
  co_return process_ended();
}

void Supervisor::leave() {
  stopping_ = true;
  pause_.cancel();
  if (client_) client_->close();
  state_ = "stopped";
}

Task<void> Supervisor::stop() {
  stopping_ = true;
  pause_.cancel();
  if (client_ && client_->connected()) {
    control::v1::Envelope envelope;
    envelope.mutable_shutdown()->set_reason("penstockd stops");
    const Status told = co_await client_->request(std::move(envelope), std::vector<int>{}, kStopTimeout);
    if (!told) spdlog::warn("dataplane: {}", told.error().text());
  }
  bool ended = co_await ended_within(kStopTimeout);
  if (!ended) {
    spdlog::warn("dataplane did not end by itself; terminating it");
    send_signal(process_, SIGTERM);
    ended = co_await ended_within(kStopTimeout);
  }
  if (!ended) {
    send_signal(process_, SIGKILL);
    ended = co_await ended_within(kStopTimeout);
  }
  if (ended && process_.running()) (void)reap(process_);
  if (client_) client_->close();
  state_ = "stopped";
}

}  // namespace penstock::daemon
