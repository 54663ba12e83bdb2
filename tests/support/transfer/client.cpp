#include "tests/support/transfer/client.h"

#include <cerrno>
#include <cstdio>

#include "tests/support/transfer/loop.h"
#include "tests/support/transfer/tally.h"

namespace penstock::transfer {
namespace {

class Client {
 public:
  explicit Client(const ClientPlan& plan) : plan_{plan} {}

  int run() {
    const Instant end = start_ + seconds(plan_.timeout_seconds);
    Instant report_at = plan_.progress_seconds > 0 ? start_ + seconds(plan_.progress_seconds) : Instant::max();
    while (started_ < plan_.connections || loop_.open() > 0) {
      const Instant now = steady_now();
      if (now >= end) break;
      start_due(now);
      if (now >= report_at) {
        progress(now);
        report_at = now + seconds(plan_.progress_seconds);
      }
      loop_.turn(std::chrono::milliseconds{started_ < plan_.connections ? 1 : 100});
    }
    return close();
  }

 private:
  static Duration seconds(double value) { return Duration{static_cast<Duration::rep>(value * 1e9)}; }
  [[nodiscard]] double elapsed(Instant now) const { return std::chrono::duration<double>(now - start_).count(); }

  void start_due(Instant now) {
    std::uint64_t due = plan_.connections;
    if (plan_.connections_per_second != 0)
      due = std::min(due,
                     1 + static_cast<std::uint64_t>(elapsed(now) * static_cast<double>(plan_.connections_per_second)));
    for (; started_ < due; ++started_) start_one(now);
  }

  void start_one(Instant now) {
    Fd fd = plan_.to.socket();
    if (!fd || (::connect(fd.get(), plan_.to.get(), plan_.to.length) != 0 && errno != EINPROGRESS)) {
      tally_.count(errno == ECONNREFUSED ? Outcome::refused : Outcome::failed);
      return;
    }
    auto connection = std::make_unique<Connection>(std::move(fd), false, now);
    Request request;
    request.connection = started_;
    request.up = plan_.up;
    request.down = plan_.down;
    request.turn = plan_.server_turn;
    request.report = plan_.report ? 1 : 0;
    request.server = plan_.servers;
    connection->out = {Small{request}, Small{}, plan_.up, payload_key(started_, false), 0};
    connection->in.prefix = Small::empty(plan_.expects_greeting ? sizeof kGreeting : 0);
    connection->in.suffix = Small::empty(plan_.report ? sizeof(Report) : 0);
    connection->in.payload = plan_.down;
    connection->in.key = payload_key(started_, true);
    connection->greeted = !plan_.expects_greeting;
    connection->turn = plan_.turn;
    connection->manners = plan_.mine;
    loop_.add(std::move(connection));
  }

  void ended(const Connection& connection) {
    tally_.add(connection, steady_now());
    if (connection.outcome() != Outcome::ok) return;
    if (plan_.expects_greeting && connection.in.prefix.as<std::uint64_t>() != kGreeting) ++misreported_;
    if (!plan_.report) return;
    const auto report = connection.in.suffix.as<Report>();
    if (report.magic != kReportMagic || report.received != plan_.up || report.good != plan_.up) ++misreported_;
  }

  void progress(Instant now) const {
    std::uint64_t octets = tally_.octets();
    loop_.for_each([&](const Connection& c) { octets += c.out.payload_sent() + c.in.payload_received(); });
    const std::uint64_t all = plan_.connections * (plan_.up + plan_.down);
    std::fprintf(stderr, "  %.0f s: %llu of %llu MiB, %zu connections open\n", elapsed(now),
                 static_cast<unsigned long long>(octets >> 20), static_cast<unsigned long long>(all >> 20),
                 loop_.open());
  }

  int close() {
    const Instant now = steady_now();
    loop_.for_each([&](const Connection& connection) { tally_.add(connection, now); });
    const double took = elapsed(now);
    const bool as_planned =
        misreported_ == 0 && tally_.of(Outcome::ok) + tally_.of(Outcome::reset_sent) == plan_.connections;
    std::printf("{\"connections\": %llu, %s, \"misreported\": %llu, \"seconds\": %.3f, \"goodput_mbit\": %.1f}\n",
                static_cast<unsigned long long>(plan_.connections), tally_.text().c_str(),
                static_cast<unsigned long long>(misreported_), took,
                static_cast<double>(tally_.octets()) * 8 / took / 1e6);
    return as_planned ? 0 : 1;
  }

  ClientPlan plan_;
  Instant start_{steady_now()};
  Tally tally_;
  std::uint64_t started_{}, misreported_{};
  Loop loop_{[this](const Connection& connection) { ended(connection); }};
};

}  // namespace

int run_client(const ClientPlan& plan) { return Client{plan}.run(); }

}  // namespace penstock::transfer
