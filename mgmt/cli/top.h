// top.h - what happens right now: rates between two looks at the counters.
//
// Model     two samples of status and HTTP counters make one value of rates; render_top() shows it as tables. A counter
//           that went backwards began anew (another dataplane): its rate is what it has counted since.
// Units     per second; latency in microseconds, of the requests between the samples.
#pragma once
#include <cstdint>
#include <string>

#include "mgmt/cli/commands.h"
#include "mgmt/cli/render.h"

namespace penstock::cli {

struct TopSample {
  Json status;
  Json http;  ///< null when there is none (no daemon)
};
[[nodiscard]] Json top_rates(const TopSample& before, const TopSample& after, double seconds);
[[nodiscard]] std::string render_top(const Json& rates, Style style);

struct TopOptions {
  bool once{};  ///< one view, then the end
  std::uint32_t interval_seconds{1};
  std::uint32_t rows{20};  ///< of each table, the busiest
};
[[nodiscard]] int run_top(const Context& context, const TopOptions& options);

}  // namespace penstock::cli
