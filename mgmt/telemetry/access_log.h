// access_log.h - one line per sampled request, as text or JSON.
//
// Model     workers put AccessRecords on rings of the shared segment and never wait (control/http_stats.h); the daemon
//           takes them off, names what the record only numbers, and writes lines. What does not fit is counted by the
//           worker (access_dropped_total).
// Units     times of records are CLOCK_MONOTONIC; lines have UTC with milliseconds.
// Errors    a record is the dataplane's word about what peers sent: lengths are bounded, other octets than printable
//           ASCII are escaped. Names that are not known stand as their number.
// Not here  where lines go (mgmt/daemon/access_pump.h).
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "dataplane/control/http_stats.h"

namespace penstock::telemetry {

enum class AccessFormat : std::uint8_t { text, json };  ///< of lines

/// Names behind the numbers of one configuration.
struct AccessNames {
  std::uint64_t first_epoch{};  ///< snapshots from this one on have these numbers
  std::map<std::uint32_t, std::string> listeners;
  std::map<std::uint32_t, std::string> clusters;
  std::map<std::uint32_t, std::string> endpoints;
  std::map<std::uint32_t, std::vector<std::string>> routes;  ///< by listener and number of the route in its table
};

/// The names of the last few configurations: a record may be older than the present one.
class AccessNameBook {
 public:
  static constexpr std::size_t kKept = 4;
  void add(AccessNames names);
  /// Those that were in force at `epoch`, or the oldest known.
  [[nodiscard]] const AccessNames& at(std::uint64_t epoch) const;

 private:
  std::deque<AccessNames> names_{AccessNames{}};
};

/// One line with its end. `unix_ns` is when the record's request ended.
[[nodiscard]] std::string access_line(const control::AccessRecord& record, const AccessNames& names,
                                      std::uint64_t unix_ns, AccessFormat format);

}  // namespace penstock::telemetry
