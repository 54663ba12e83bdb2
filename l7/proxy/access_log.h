// access_log.h - remembers sampled requests until they end, then hands them to the daemon.
//
// Model     begin() takes a record for a request that is to be logged and keeps what its head says; whoever handles the
//           request completes it; end() puts it on the ring of the shared segment. One object per worker.
// Units     as control::AccessRecord.
// Shape     records of requests under way live in one block, taken at construction; then nothing allocates.
// Errors    a request that finds no free record, or a full ring at its end, is not logged and counted
//           (HttpCounters::access_dropped). Nothing ever waits.
// Limits    kOpenMax sampled requests under way.
// Not here  lines and files (mgmt/telemetry/access_log.h).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "dataplane/control/http_stats.h"
#include "dataplane/core/spsc_ring.h"

namespace penstock::proxy {

class AccessLog {
 public:
  static constexpr std::uint32_t kNoRecord = 0xffffffff;
  static constexpr std::uint32_t kOpenMax = 256;

  AccessLog(RingControl& control, std::span<control::AccessRecord> ring, control::HttpCounters& counters);

  /// A record when chance picks this request, else kNoRecord. `samples` of a million are picked; `random` is even.
  [[nodiscard]] std::uint32_t begin(std::uint32_t samples, std::uint64_t random, std::string_view method,
                                    std::string_view host, std::string_view path);
  /// To be completed until end().
  [[nodiscard]] control::AccessRecord& operator[](std::uint32_t record) { return open_[record]; }
  /// Gives the record away; `record` is kNoRecord afterwards.
  void end(std::uint32_t& record);
  /// Requests under way that will be logged.
  [[nodiscard]] std::uint32_t open() const { return kOpenMax - free_count_; }

 private:
  SpscRing<control::AccessRecord> ring_;
  control::HttpCounters& counters_;
  std::unique_ptr<control::AccessRecord[]> open_;
  std::unique_ptr<std::uint32_t[]> free_;
  std::uint32_t free_count_{kOpenMax};
};

}  // namespace penstock::proxy
