// probe.h - one health check of one endpoint, from the node's own namespace.
//
// Model     connect; for HTTP also ask and judge the head of the answer (http_verdict.h). One timer bounds the whole.
//           Runs on the event loop; done() is called once, never from within run(), and not after cancel().
// Errors    a failed check is a result, with a reason.
#pragma once
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "mgmt/config/cluster.h"

namespace penstock::health {

struct ProbeResult {
  bool good{};
  std::string reason;
  std::chrono::microseconds took{};
};

class Probe : public std::enable_shared_from_this<Probe> {
 public:
  using Done = std::function<void(const ProbeResult&)>;
  /// `endpoint` has the port to check.
  static std::shared_ptr<Probe> run(boost::asio::io_context& loop, const config::HealthCheck& check,
                                    const IpAddress& address, std::uint16_t port, Done done);
  virtual ~Probe() = default;
  virtual void cancel() = 0;
};

/// The request of an HTTP check.
[[nodiscard]] std::string check_request(const config::HealthCheck& check, const IpAddress& address, std::uint16_t port);

}  // namespace penstock::health
