// rte_hash_baseline.h - DPDK's hash table behind a plain interface, for flow_bench only.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace penstock::flow {

/// One key to one index, CRC hash, bulk lookup of 32: the table that FlowTable must beat.
class RteHashBaseline {
 public:
  static constexpr std::size_t kKeyOctets = 40;
  explicit RteHashBaseline(std::uint32_t keys);
  ~RteHashBaseline();
  RteHashBaseline(const RteHashBaseline&) = delete;
  RteHashBaseline& operator=(const RteHashBaseline&) = delete;
  /// False when full.
  bool add(const void* key);
  /// Positions of `count` (at most 32) keys, negative when absent.
  void lookup(const void* const* keys, std::uint32_t count, std::int32_t* positions) const;

 private:
  void* table_{};
};

}  // namespace penstock::flow
