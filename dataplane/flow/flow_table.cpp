#include "dataplane/flow/flow_table.h"

#include <sys/mman.h>

#include "dataplane/core/require.h"

namespace penstock::flow {
namespace {

// Keys per bucket when the arena is full. Above 5 a key in twenty overflows into its second bucket and lookups of
// absent keys touch two lines; below 2 the index outgrows the cache for nothing.
constexpr std::uint32_t kKeysPerBucket = 4;

std::uint32_t bucket_count_for(std::uint32_t capacity) {
  return std::bit_ceil(std::max<std::uint32_t>(2, 2 * capacity / kKeysPerBucket));
}

void store_generation(control::FlowCold& cold, std::uint32_t value) {
  std::atomic_ref<std::uint32_t>(cold.generation).store(value, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_release);  // what follows is not seen before the generation
}

void write_key(control::FlowDirection& d, const FlowKey& key) {
  d = {};
  d.src = key.src;
  d.dst = key.dst;
  d.src_port = key.src_port;
  d.dst_port = key.dst_port;
  d.proto = key.proto;
  d.flags = static_cast<std::uint8_t>(key.src.is_v4() ? 0 : control::kFlowV6);  // says how the key is stored
}

}  // namespace

FlowTable::FlowTable(ByteSpan arena, const FlowTableConfig& config) : hasher_{config.seed} {
  constexpr std::size_t kPerFlow = 2 * sizeof(control::FlowDirection) + sizeof(control::FlowCold);
  require(arena.size() >= control::flow_arena_octets(1), "flow arena too small");
  require(reinterpret_cast<std::uintptr_t>(arena.data()) % 64 == 0, "flow arena not aligned");
  const std::size_t fit = (arena.size() - sizeof(control::FlowArenaHeader)) / kPerFlow;
  capacity_ = static_cast<std::uint32_t>(std::min<std::size_t>(fit, kFlowCapacityMax));
  std::byte* at = arena.data();
  header_ = reinterpret_cast<control::FlowArenaHeader*>(at);
  at += sizeof(control::FlowArenaHeader);
  directions_ = reinterpret_cast<control::FlowDirection*>(at);
  at += 2 * sizeof(control::FlowDirection) * capacity_;
  colds_ = reinterpret_cast<control::FlowCold*>(at);

  const std::uint32_t buckets = bucket_count_for(capacity_);
  bucket_mask_ = buckets - 1;
  bucket_octets_ = buckets * sizeof(Bucket);
  void* memory = mmap(nullptr, bucket_octets_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  require(memory != MAP_FAILED, "no memory for the flow index");
  madvise(memory, bucket_octets_, MADV_HUGEPAGE);  // advice only
  buckets_ = static_cast<Bucket*>(memory);
  for (std::uint32_t b = 0; b < buckets; ++b) buckets_[b].directions.fill(kNoDirection);  // touches every page now

  header_->magic = control::kFlowArenaMagic;
  header_->layout = control::kFlowArenaLayout;
  header_->capacity = capacity_;
  header_->worker = config.worker;
  header_->worker_count = config.worker_count;
  header_->boot_epoch = config.boot_epoch;
}

FlowTable::~FlowTable() { munmap(buckets_, bucket_octets_); }

DirectionIndex FlowTable::scan(const Bucket& bucket, std::uint16_t tag, const FlowKey& key) const {
  for (std::uint32_t hits = matches(bucket, tag); hits != 0; hits &= hits - 1) {
    const DirectionIndex d = bucket.directions[static_cast<std::size_t>(std::countr_zero(hits))] & ~kSecondary;
    if (same_key(directions_[d], key)) return d;
  }
  return kNoDirection;
}

DirectionIndex FlowTable::find_slow(Place place, const FlowKey& key) const {
  const Bucket& first = buckets_[place.bucket];
  const DirectionIndex d = scan(first, place.tag, key);
  if (d != kNoDirection || first.overflowed == 0) return d;
  return scan(buckets_[other_bucket(place.bucket, place.tag)], place.tag, key);
}

DirectionIndex FlowTable::find(const FlowKey& key) const { return find_slow(place_of(hasher_(key)), key); }

void FlowTable::lookup(std::span<const FlowKey> keys, std::span<DirectionIndex> out) const {
  require(keys.size() <= kLookupBatch && out.size() >= keys.size(), "lookup batch too large");
  std::array<Probe, kLookupBatch> probes;
  const std::size_t n = keys.size();
  for (std::size_t i = 0; i < n; ++i) probes[i] = start(keys[i]);
  for (std::size_t i = 0; i < n; ++i) aim(probes[i]);
  for (std::size_t i = 0; i < n; ++i) out[i] = finish(probes[i], keys[i]);
}

bool FlowTable::put(std::uint32_t bucket, std::uint16_t tag, DirectionIndex value) {
  Bucket& b = buckets_[bucket];
  const std::uint32_t empty = matches(b, 0);
  if (empty == 0) return false;
  const auto way = static_cast<std::size_t>(std::countr_zero(empty));
  b.tags[way] = tag;
  b.directions[way] = value;
  return true;
}

/// Moves one key of a full bucket to its other bucket; false when all of those are full too.
bool FlowTable::displace(std::uint32_t bucket) {
  Bucket& b = buckets_[bucket];
  for (std::size_t way = 0; way < kWays; ++way) {
    const std::uint16_t tag = b.tags[way];
    const DirectionIndex value = b.directions[way];
    const std::uint32_t other = other_bucket(bucket, tag);
    if (!put(other, tag, value ^ kSecondary)) continue;
    b.tags[way] = 0;
    b.directions[way] = kNoDirection;
    if ((value & kSecondary) != 0)
      --buckets_[other].overflowed;  // it went home
    else
      ++b.overflowed;
    return true;
  }
  return false;
}

bool FlowTable::index_insert(const FlowKey& key, DirectionIndex direction) {
  const Place place = place_of(hasher_(key));
  if (put(place.bucket, place.tag, direction)) return true;
  const std::uint32_t second = other_bucket(place.bucket, place.tag);
  if (put(second, place.tag, direction | kSecondary)) {
    ++buckets_[place.bucket].overflowed;
    return true;
  }
  return displace(place.bucket) && put(place.bucket, place.tag, direction);
}

void FlowTable::index_erase(const FlowKey& key, DirectionIndex direction) {
  const Place place = place_of(hasher_(key));
  for (const bool secondary : {false, true}) {
    Bucket& b = buckets_[secondary ? other_bucket(place.bucket, place.tag) : place.bucket];
    const DirectionIndex wanted = secondary ? (direction | kSecondary) : direction;
    for (std::size_t way = 0; way < kWays; ++way) {
      if (b.tags[way] != place.tag || b.directions[way] != wanted) continue;
      b.tags[way] = 0;
      b.directions[way] = kNoDirection;
      if (secondary) --buckets_[place.bucket].overflowed;
      return;
    }
  }
  require(false, "flow key is not in the index");
}

void FlowTable::release(FlowIndex flow) {
  colds_[flow].timer_next = free_head_;
  free_head_ = flow;
  --size_;
}

FlowIndex FlowTable::begin(const FlowKey& forward, const FlowKey& reverse) {
  FlowIndex flow = free_head_;
  if (flow != kNoFlow) {
    free_head_ = colds_[flow].timer_next;
  } else {
    if (high_water_ == capacity_) return kNoFlow;
    flow = high_water_++;
    std::atomic_ref<std::uint32_t>(header_->high_water).store(high_water_, std::memory_order_relaxed);
  }
  ++size_;
  control::FlowCold& c = colds_[flow];
  const std::uint32_t generation = c.generation | 1u;
  store_generation(c, generation);
  write_key(directions_[2 * flow], forward);
  write_key(directions_[2 * flow + 1], reverse);
  directions_[2 * flow + 1].flags |= control::kFlowReverse;
  control::FlowCold fresh{};
  fresh.generation = generation;
  c = fresh;
  if (!index_insert(forward, 2 * flow)) {
    release(flow);
    return kNoFlow;
  }
  if (!index_insert(reverse, 2 * flow + 1)) {
    index_erase(forward, 2 * flow);
    release(flow);
    return kNoFlow;
  }
  return flow;
}

void FlowTable::commit(FlowIndex flow) { store_generation(colds_[flow], colds_[flow].generation + 1); }

void FlowTable::erase(FlowIndex flow) {
  index_erase(key_of(directions_[2 * flow]), 2 * flow);
  index_erase(key_of(directions_[2 * flow + 1]), 2 * flow + 1);
  store_generation(colds_[flow], colds_[flow].generation | 1u);
  directions_[2 * flow].state = control::FlowState::free;
  release(flow);
  ++erasures_;
}

}  // namespace penstock::flow
