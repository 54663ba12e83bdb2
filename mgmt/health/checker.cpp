#include "mgmt/health/checker.h"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "mgmt/health/probe.h"

namespace penstock::health {

namespace asio = boost::asio;

struct Checker::Target {
  Target(asio::io_context& loop, Key k, const config::HealthCheck& c)
      : key{std::move(k)}, check{c}, threshold{c.healthy_threshold, c.unhealthy_threshold}, timer{loop} {}
  ~Target() {
    if (probe) probe->cancel();
  }
  Key key;
  config::HealthCheck check;
  Threshold threshold;
  asio::steady_timer timer;
  std::shared_ptr<Probe> probe;
  std::string reason;
  std::uint64_t good{0};
  std::uint64_t bad{0};
  std::uint64_t changes{0};
};

Checker::Checker(asio::io_context& loop, std::uint64_t seed) : loop_{loop}, random_{seed} {}
Checker::~Checker() = default;

std::chrono::milliseconds Checker::random_below(std::chrono::milliseconds bound) {
  return std::chrono::milliseconds{std::uniform_int_distribution<std::int64_t>{0, bound.count()}(random_)};
}

void Checker::configure(const std::vector<config::Cluster>& clusters) {
  std::map<Key, Pointer> before = std::exchange(targets_, {});
  for (const config::Cluster& cluster : clusters)
    for (const config::Endpoint& endpoint : cluster.endpoints)
      for (std::size_t i = 0; i < cluster.health_checks.size(); ++i) {
        config::HealthCheck check = cluster.health_checks[i];
        if (!check.port) check.proxy_protocol = cluster.proxy_protocol;
        Key key{cluster.name, endpoint.address, endpoint.port, i};
        const auto known = before.find(key);
        if (known != before.end() && known->second->check == check) {
          targets_.insert(before.extract(known));
          continue;
        }
        const auto target = std::make_shared<Target>(loop_, key, check);
        targets_.emplace(std::move(key), target);
        schedule(target, random_below(std::min(kFirstCheck, check.interval)));
      }
  for (const auto& [key, gone] : before)
    if (gone->probe) --running_;
  before.clear();
  start_waiting();
}

// Handlers hold targets weakly: one that is already on its way when its target goes must not find it.
void Checker::schedule(const Pointer& target, std::chrono::milliseconds delay) {
  target->timer.expires_after(delay);
  target->timer.async_wait([this, weak = std::weak_ptr{target}](const boost::system::error_code& error) {
    if (const Pointer alive = weak.lock(); alive && !error) begin(alive);
  });
}

void Checker::begin(const Pointer& target) {
  if (running_ < kProbesMax) return start(target);
  waiting_.push_back(target);
}

void Checker::start(const Pointer& target) {
  ++running_;
  const std::uint16_t port = target->check.port.value_or(std::get<2>(target->key));
  target->probe = Probe::run(loop_, target->check, std::get<1>(target->key), port,
                             [this, weak = std::weak_ptr{target}](const ProbeResult& result) {
                               if (const Pointer alive = weak.lock()) ended(alive, result.good, result.reason);
                             });
}

void Checker::ended(const Pointer& target, bool good, const std::string& reason) {
  --running_;
  target->probe.reset();
  target->reason = reason;
  ++(good ? target->good : target->bad);
  const State before = target->threshold.state();
  const bool changed = target->threshold.note(good);
  if (changed) ++target->changes;
  schedule(target, target->check.interval + random_below(target->check.jitter));
  start_waiting();
  // From unknown to healthy nothing changes for anybody.
  if (changed && !(before == State::unknown && good) && on_change) on_change();
}

void Checker::start_waiting() {
  while (!waiting_.empty() && running_ < kProbesMax) {
    const Pointer next = waiting_.front().lock();
    waiting_.pop_front();
    if (next) start(next);
  }
}

compile::Health Checker::health() const {
  compile::Health out;
  for (const auto& [key, target] : targets_)
    if (target->threshold.state() == State::unhealthy)
      out.unhealthy.emplace(std::get<0>(key), std::get<1>(key), std::get<2>(key));
  return out;
}

EndpointState Checker::state_of(const std::string& cluster, const IpAddress& address, std::uint16_t port) const {
  EndpointState out;
  for (std::size_t i = 0;; ++i) {
    const auto at = targets_.find(Key{cluster, address, port, i});
    if (at == targets_.end()) return out;
    const Target& target = *at->second;
    const State state = target.threshold.state();
    const bool worse = state == State::unhealthy && out.state != State::unhealthy;
    if (i == 0 || worse || (out.state == State::healthy && state == State::unknown)) {
      out.state = state;
      out.reason = target.reason;
    }
    out.checked = true;
    out.good += target.good;
    out.bad += target.bad;
    out.changes += target.changes;
  }
}

}  // namespace penstock::health
