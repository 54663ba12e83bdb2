// flow_table.h - the connections of one worker: records in a shared arena, index in private memory.
//
// Model     a connection is a pair of FlowDirections at 2i and 2i+1 and a FlowCold at i. The index maps a key to a
//           direction: 8-way buckets of {tag, direction} in one cache line, two candidate buckets per key, the
//           second used (and looked at) only when the first has overflowed.
//
//             hash -> bucket -> [tag x8 | direction x8 | overflow] -> FlowDirection (compare key) -> partner (next
//             line)
//
// Shape     the arena is the caller's (a memfd, control/flow_layout.h); the index takes about 32 octets a connection,
//           advised to huge pages. A lookup is three steps, start() -> aim() -> finish(), each of which fetches what
//           the next one reads: the caller puts other work between them, such as the same step for other keys.
//           lookup() does so with up to 32 keys at once: measured by flow_bench against rte_hash.
// Limits    capacity of the arena. insert() fails when it is used up; who is thrown out is the caller's policy.
// Rule      FlowCold::generation is odd while a record is free or being written: begin() .. commit().
// Not here  timers (timer_wheel.h), states and translation (dataplane/l4).
#pragma once
#include <emmintrin.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/control/flow_layout.h"
#include "dataplane/flow/flow_key.h"

namespace penstock::flow {

using FlowIndex = std::uint32_t;       ///< a connection
using DirectionIndex = std::uint32_t;  ///< 2 * FlowIndex, + 1 for the reverse direction
inline constexpr FlowIndex kNoFlow = 0xffffffff;
inline constexpr DirectionIndex kNoDirection = 0xffffffff;
inline constexpr std::size_t kLookupBatch = 32;
inline constexpr std::uint32_t kFlowCapacityMax = 1u << 28;

struct FlowTableConfig {
  std::uint32_t worker{};
  std::uint32_t worker_count{1};
  std::uint64_t boot_epoch{};
  std::array<std::uint64_t, 2> seed{};
};

class FlowTable {
 public:
  /// Formats `arena` (zeroed, 64-aligned) for as many connections as fit.
  FlowTable(ByteSpan arena, const FlowTableConfig& config);
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;
  ~FlowTable();

  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }
  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] bool full() const { return size_ == capacity_; }
  /// Connections at or beyond this index were never in use.
  [[nodiscard]] std::uint32_t high_water() const { return high_water_; }
  /// Rises with every erase: results of an earlier lookup() may be stale then.
  [[nodiscard]] std::uint32_t erasures() const { return erasures_; }

  /// A lookup under way.
  struct Probe {
    std::uint32_t bucket;
    std::uint16_t tag;
    bool wide;                 ///< IPv6: the partner is needed too
    DirectionIndex candidate;  ///< set by aim()
  };
  /// Hashes the key and fetches its bucket.
  [[nodiscard]] Probe start(const FlowKey& key) const {
    const Place place = place_of(hasher_(key));
    __builtin_prefetch(&buckets_[place.bucket]);
    return {place.bucket, place.tag, wire::word_of(key, 0) != 0, kNoDirection};
  }
  /// Picks the record that is most likely the key's and fetches it; of IPv6 also its partner.
  void aim(Probe& probe) const {
    const Bucket& bucket = buckets_[probe.bucket];
    const std::uint32_t hits = matches(bucket, probe.tag);
    if (hits == 0) [[unlikely]] {
      if (bucket.overflowed != 0) __builtin_prefetch(&buckets_[other_bucket(probe.bucket, probe.tag)]);
      return;
    }
    const DirectionIndex d = bucket.directions[static_cast<std::size_t>(std::countr_zero(hits))] & ~kSecondary;
    __builtin_prefetch(&directions_[d], 1);
    if (probe.wide) __builtin_prefetch(&directions_[d ^ 1u], 1);
    probe.candidate = d;
  }
  /// The key's direction, or kNoDirection. Right about keys inserted since start(); after an erase use find().
  [[nodiscard]] DirectionIndex finish(const Probe& probe, const FlowKey& key) const {
    if (probe.candidate != kNoDirection && same_key(directions_[probe.candidate], key)) [[likely]]
      return probe.candidate;
    return find_slow({probe.bucket, probe.tag}, key);  // absent, overflowed, or a tag of somebody else
  }

  /// Direction of each key, or kNoDirection. At most kLookupBatch keys.
  void lookup(std::span<const FlowKey> keys, std::span<DirectionIndex> out) const;
  [[nodiscard]] DirectionIndex find(const FlowKey& key) const;

  /// Takes a record and indexes both keys; kNoFlow when nothing is free. Neither key may be present. Everything
  /// but the keys and the flags that follow from them is zero; the record is invisible to foreign readers until
  /// commit().
  [[nodiscard]] FlowIndex begin(const FlowKey& forward, const FlowKey& reverse);
  void commit(FlowIndex flow);
  void erase(FlowIndex flow);

  [[nodiscard]] control::FlowDirection& direction(DirectionIndex d) { return directions_[d]; }
  [[nodiscard]] const control::FlowDirection& direction(DirectionIndex d) const { return directions_[d]; }
  [[nodiscard]] control::FlowDirection& partner(DirectionIndex d) { return directions_[d ^ 1u]; }
  [[nodiscard]] control::FlowDirection& forward(FlowIndex f) { return directions_[2 * f]; }
  [[nodiscard]] control::FlowDirection& reverse(FlowIndex f) { return directions_[2 * f + 1]; }
  [[nodiscard]] control::FlowCold& cold(FlowIndex f) { return colds_[f]; }
  [[nodiscard]] bool used(FlowIndex f) const { return f < high_water_ && (colds_[f].generation & 1) == 0; }

 private:
  static constexpr std::size_t kWays = 8;
  struct alignas(64) Bucket {
    std::array<std::uint16_t, kWays> tags;         ///< 0 = empty way
    std::array<DirectionIndex, kWays> directions;  ///< kSecondary set: here as second choice
    std::uint32_t overflowed;                      ///< keys of this bucket that live in their second one
    std::array<std::uint32_t, 3> zero;
  };
  static_assert(sizeof(Bucket) == 64);
  static constexpr DirectionIndex kSecondary = 1u << 31;
  struct Place {
    std::uint32_t bucket;
    std::uint16_t tag;
  };

  [[nodiscard]] Place place_of(std::uint64_t hash) const {
    return {static_cast<std::uint32_t>(hash) & bucket_mask_, static_cast<std::uint16_t>((hash >> 48) | 1u)};
  }
  [[nodiscard]] std::uint32_t other_bucket(std::uint32_t bucket, std::uint16_t tag) const {
    return (bucket ^ (static_cast<std::uint32_t>(tag) * 0x5bd1e995u)) & bucket_mask_;
  }
  [[nodiscard]] static std::uint32_t matches(const Bucket& bucket, std::uint16_t tag) {
    const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tags.data()));
    const __m128i hit = _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<short>(tag)));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(hit, _mm_setzero_si128())));
  }
  [[nodiscard]] DirectionIndex scan(const Bucket& bucket, std::uint16_t tag, const FlowKey& key) const;
  [[nodiscard]] DirectionIndex find_slow(Place place, const FlowKey& key) const;
  [[nodiscard]] bool put(std::uint32_t bucket, std::uint16_t tag, DirectionIndex value);
  [[nodiscard]] bool displace(std::uint32_t bucket);
  [[nodiscard]] bool index_insert(const FlowKey& key, DirectionIndex direction);
  void index_erase(const FlowKey& key, DirectionIndex direction);
  void release(FlowIndex flow);

  FlowHasher hasher_;
  control::FlowArenaHeader* header_{};
  control::FlowDirection* directions_{};
  control::FlowCold* colds_{};
  Bucket* buckets_{};
  std::size_t bucket_octets_{};
  std::uint32_t bucket_mask_{};
  std::uint32_t capacity_{};
  std::uint32_t size_{};
  std::uint32_t high_water_{};
  std::uint32_t free_head_{kNoFlow};
  std::uint32_t erasures_{};
};

}  // namespace penstock::flow
