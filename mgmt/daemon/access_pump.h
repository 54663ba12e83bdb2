// access_pump.h - takes access records off the workers' rings and writes them as lines.
//
// Model     every kInterval the rings are drained, kBatch records per worker at most, and the lines written to a file
//           or standard output. Nobody ever waits: a worker finds its ring full and counts, and what the file does not
//           take at once (a pipe that nobody reads) is left out and counted here.
// Limits    kBatch; the ring (control::kAccessRingSlots).
// Not here  what a line looks like (mgmt/telemetry/access_log.h).
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/core/fd.h"
#include "dataplane/core/spsc_ring.h"
#include "mgmt/config/config.h"
#include "mgmt/publish/dataplane_client.h"
#include "mgmt/telemetry/access_log.h"
#include "mgmt/telemetry/report.h"

namespace penstock::daemon {

/// Where lines go. Opened anew with every configuration, so that a rotated file is let go.
class AccessFile {
 public:
  /// An empty path is standard output.
  [[nodiscard]] static Result<AccessFile> open(const config::AccessLog& config);
  /// Lines that were not taken.
  [[nodiscard]] std::size_t write(const std::vector<std::string>& lines);
  [[nodiscard]] telemetry::AccessFormat format() const { return format_; }

 private:
  Fd file_;
  int fd_{-1};
  bool torn_{};  ///< the last line there has no end, since a disk was full: the next one begins with a line's end
  telemetry::AccessFormat format_{telemetry::AccessFormat::json};
};

class AccessPump {
 public:
  static constexpr std::chrono::milliseconds kInterval{100};
  static constexpr std::size_t kBatch = 1024;
  /// Lives at most as long as `client`, whose rings it uses; the others outlive it.
  AccessPump(boost::asio::io_context& loop, publish::DataplaneClient::Pointer client,
             const telemetry::AccessNameBook& names, std::unique_ptr<AccessFile>& file,
             telemetry::AccessReport& counts);
  ~AccessPump();
  AccessPump(const AccessPump&) = delete;
  AccessPump& operator=(const AccessPump&) = delete;
  /// One round; also for the last one before the end.
  void drain();

 private:
  void wait();
  boost::asio::steady_timer timer_;
  publish::DataplaneClient::Pointer client_;
  const telemetry::AccessNameBook& names_;
  std::unique_ptr<AccessFile>& file_;
  telemetry::AccessReport& counts_;
  std::vector<SpscRing<control::AccessRecord>> rings_;
  std::shared_ptr<bool> alive_{std::make_shared<bool>(true)};
};

}  // namespace penstock::daemon
