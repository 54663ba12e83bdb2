// pool_shelf.h - pools that were used and came back empty serve the next run.
//
// Model     making 4 MB of blocks costs more than most runs; empty pools of the same size are as good as new, since
//           nothing depends on the order of their free lists (a test runs a seed before and after others).
// Errors    pools that are not empty are not kept.
#pragma once
#include <memory>
#include <vector>

#include "dataplane/tcp/pool.h"

namespace penstock::tcpsim {

class PoolShelf {
 public:
  [[nodiscard]] std::unique_ptr<tcp::Pools> take(std::uint32_t entries, std::uint32_t blocks) {
    for (Kept& kept : kept_) {
      if (kept.pools == nullptr || kept.entries != entries || kept.blocks != blocks) continue;
      return std::move(kept.pools);
    }
    return std::make_unique<tcp::Pools>(entries, blocks, kBlockOctets, kLentMax);
  }
  void put(std::unique_ptr<tcp::Pools> pools, std::uint32_t entries, std::uint32_t blocks) {
    if (entries != kEntriesKept || pools->entries.in_use() != 0 || pools->blocks.in_use() != 0 ||
        pools->lent_in_use() != 0)
      return;
    for (Kept& kept : kept_) {
      if (kept.pools != nullptr) continue;
      kept = {std::move(pools), entries, blocks};
      return;
    }
    kept_.push_back({std::move(pools), entries, blocks});
  }

 private:
  static constexpr std::uint16_t kBlockOctets = 2048;
  static constexpr std::uint32_t kLentMax = 1024;
  static constexpr std::uint32_t kEntriesKept = 4096;  // the size that most scenarios have
  struct Kept {
    std::unique_ptr<tcp::Pools> pools;
    std::uint32_t entries, blocks;
  };
  std::vector<Kept> kept_;
};

}  // namespace penstock::tcpsim
