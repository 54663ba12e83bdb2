// checker.h - active health checks of all endpoints that have some.
//
// Model     one target per cluster, endpoint and check, each with a timer: interval plus a random part of its jitter
//           after the check before has ended; the first within kFirstCheck. A target that configure() finds again,
//           with the same check, keeps its state. An endpoint is unhealthy when one of its checks says so.
// Errors    a failed check is a result (probe.h).
// Limits    kProbesMax checks at the same time; the others wait their turn.
// Not here  what follows from it (mgmt/compile/health.h).
#pragma once
#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "mgmt/compile/health.h"
#include "mgmt/health/threshold.h"

namespace penstock::health {

inline constexpr std::size_t kProbesMax = 256;
inline constexpr std::chrono::milliseconds kFirstCheck{500};

/// What is known of an endpoint. Without any check everything is as default.
struct EndpointState {
  bool checked{};
  State state{State::unknown};  ///< the worst of its checks
  std::string reason;           ///< of the last result of the check that decided
  std::uint64_t good{};         ///< results, all checks
  std::uint64_t bad{};
  std::uint64_t changes{};  ///< of the state of some check
};

class Checker {
 public:
  Checker(boost::asio::io_context& loop, std::uint64_t seed);
  ~Checker();
  Checker(const Checker&) = delete;
  Checker& operator=(const Checker&) = delete;

  void configure(const std::vector<config::Cluster>& clusters);
  [[nodiscard]] compile::Health health() const;
  [[nodiscard]] EndpointState state_of(const std::string& cluster, const IpAddress& address, std::uint16_t port) const;
  /// Some endpoint became healthy or unhealthy; from the event loop.
  std::function<void()> on_change;

 private:
  struct Target;
  using Pointer = std::shared_ptr<Target>;
  /// Cluster, address, port, number of the check.
  using Key = std::tuple<std::string, IpAddress, std::uint16_t, std::size_t>;
  void schedule(const Pointer& target, std::chrono::milliseconds delay);
  void begin(const Pointer& target);
  void start(const Pointer& target);
  void ended(const Pointer& target, bool good, const std::string& reason);
  void start_waiting();
  [[nodiscard]] std::chrono::milliseconds random_below(std::chrono::milliseconds bound);

  boost::asio::io_context& loop_;
  std::mt19937_64 random_;
  std::map<Key, Pointer> targets_;
  std::deque<std::weak_ptr<Target>> waiting_;  ///< in order; those that are gone are passed over
  std::size_t running_{0};
};

}  // namespace penstock::health
