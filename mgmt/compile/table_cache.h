// table_cache.h - Maglev tables of clusters, kept over reloads.
//
// Model     a table depends on the cluster's endpoints, their weights and its size alone; when these are as before,
//           the table is the same object. All others of a call are built in parallel.
// Errors    none; memory is bounded by kMaglevTotalMax, which the caller checks before.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mgmt/config/config.h"

namespace penstock::compile {

using MaglevTable = std::shared_ptr<const std::vector<std::uint16_t>>;

/// Slots that the cluster's table has: as configured, or by the number of endpoints with weight; 0 without any.
[[nodiscard]] std::uint32_t table_size(const config::Cluster& cluster);

class TableCache {
 public:
  /// One table per cluster, in order; empty where no endpoint has weight. Forgets clusters that are not among them.
  /// `sizes` are those of the tables: an endpoint that is away for a while must not change them.
  [[nodiscard]] std::vector<MaglevTable> build(const std::vector<config::Cluster>& clusters,
                                               const std::vector<std::uint32_t>& sizes);
  /// Tables made by the last build(), the others were kept.
  [[nodiscard]] std::size_t built() const { return built_; }

 private:
  struct Kept {
    std::uint32_t size{};
    std::vector<config::Endpoint> endpoints;
    MaglevTable table;
  };
  std::map<std::string, Kept> kept_;
  std::size_t built_{};
};

}  // namespace penstock::compile
