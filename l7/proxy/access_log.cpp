#include "l7/proxy/access_log.h"

#include <algorithm>

#include "dataplane/control/limits.h"
#include "dataplane/control/snapshot_layout.h"

namespace penstock::proxy {

AccessLog::AccessLog(RingControl& control, std::span<control::AccessRecord> ring, control::HttpCounters& counters)
    : ring_{control, ring},
      counters_{counters},
      open_{std::make_unique<control::AccessRecord[]>(kOpenMax)},
      free_{std::make_unique<std::uint32_t[]>(kOpenMax)} {
  for (std::uint32_t i = 0; i < kOpenMax; ++i) free_[i] = i;
}

std::uint32_t AccessLog::begin(std::uint32_t samples, std::uint64_t random, std::string_view method,
                               std::string_view host, std::string_view path) {
  if ((random >> 32) * control::kPerMillion >> 32 >= samples) return kNoRecord;
  if (free_count_ == 0) {
    counters_.access_dropped.add();
    return kNoRecord;
  }
  const std::uint32_t index = free_[--free_count_];
  control::AccessRecord& record = open_[index];
  record = control::AccessRecord{};
  record.route = control::kNoIndex;
  std::size_t at = 0;
  const auto keep = [&](std::string_view text, std::size_t most) {
    const std::size_t octets = std::min({text.size(), most, record.text.size() - at});
    std::copy_n(text.begin(), octets, record.text.begin() + static_cast<std::ptrdiff_t>(at));
    at += octets;
    return octets;
  };
  record.method_octets = static_cast<std::uint8_t>(keep(method, 255));
  record.host_octets = static_cast<std::uint16_t>(keep(host, record.text.size()));
  record.path_octets = static_cast<std::uint16_t>(keep(path, record.text.size()));
  return index;
}

void AccessLog::end(std::uint32_t& record) {
  if (record == kNoRecord) return;
  if (ring_.push(open_[record])) {
    ring_.publish();
    counters_.access_records.add();
  } else {
    counters_.access_dropped.add();
  }
  free_[free_count_++] = record;
  record = kNoRecord;
}

}  // namespace penstock::proxy
