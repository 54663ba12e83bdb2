// pool.h - all memory of the TCP engine: slabs of fixed size, made before the first segment, named by index.
//
// Model     Slab hands out entries, BlockPool hands out payload blocks that may be shared (reference counted).
//           One Pools per worker; no locks.
// Units     octets, indices; kNoIndex is "none".
// Errors    an empty pool answers kNoIndex: the caller has a policy and a counter. Releasing twice breaks an invariant.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "dataplane/core/be.h"
#include "dataplane/core/require.h"
#include "dataplane/core/seq_num.h"
#include "dataplane/tcp/stamp.h"

namespace penstock::tcp {

using Index = std::uint32_t;
inline constexpr Index kNoIndex = 0xffffffff;

/// A piece of one direction's sequence space: queued to be sent, sent, or received out of order.
struct Entry {
  static constexpr std::uint8_t kSyn = 1, kFin = 2, kSacked = 4, kLost = 8, kRetransmitted = 16, kInUse = 128;
  Index next{kNoIndex};
  Index block{kNoIndex};  ///< none when there is no payload
  SeqNum seq;
  std::uint16_t offset{};
  std::uint16_t octets{};
  Stamp first_sent;
  Stamp last_sent;
  std::uint8_t flags{};
  std::uint8_t sends{};  ///< saturates

  [[nodiscard]] bool is(std::uint8_t flag) const { return (flags & flag) != 0; }
  /// Sequence space that it takes.
  [[nodiscard]] std::uint32_t span() const { return octets + (is(kSyn) ? 1u : 0u) + (is(kFin) ? 1u : 0u); }
  [[nodiscard]] SeqNum end() const { return seq + SeqSpan{span()}; }
};
static_assert(sizeof(Entry) == 28);

class EntrySlab {
 public:
  static constexpr std::uint32_t kReserve = 8;
  explicit EntrySlab(std::uint32_t capacity) : entries_{std::make_unique<Entry[]>(capacity)}, capacity_{capacity} {
    for (Index i = 0; i < capacity; ++i) entries_[i].next = i + 1 < capacity ? i + 1 : kNoIndex;
    free_ = capacity > 0 ? 0 : kNoIndex;
  }
  /// The last kReserve entries are for cutting what is queued already: without them a full pool could not shrink its
  /// segments to a smaller path, and so never drain.
  [[nodiscard]] Index acquire() { return capacity_ - in_use_ > kReserve ? acquire_reserved() : kNoIndex; }
  [[nodiscard]] Index acquire_reserved() {
    const Index index = free_;
    if (index == kNoIndex) return kNoIndex;
    free_ = entries_[index].next;
    entries_[index] = Entry{};
    entries_[index].flags = Entry::kInUse;
    ++in_use_;
    return index;
  }
  void release(Index index) {
    require(entries_[index].is(Entry::kInUse), "entry released twice");
    entries_[index].flags = 0;
    entries_[index].next = free_;
    free_ = index;
    --in_use_;
  }
  [[nodiscard]] Entry& operator[](Index index) { return entries_[index]; }
  [[nodiscard]] const Entry& operator[](Index index) const { return entries_[index]; }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }
  [[nodiscard]] std::uint32_t capacity() const { return capacity_; }

 private:
  std::unique_ptr<Entry[]> entries_;
  std::uint32_t capacity_;
  std::uint32_t in_use_{};
  Index free_;
};

class BlockPool {
 public:
  BlockPool(std::uint32_t count, std::uint16_t block_octets)
      : memory_{std::make_unique<std::byte[]>(std::size_t{count} * block_octets)},
        headers_{std::make_unique<Header[]>(count)},
        block_octets_{block_octets} {
    for (Index i = 0; i < count; ++i) headers_[i].next = i + 1 < count ? i + 1 : kNoIndex;
    free_ = count > 0 ? 0 : kNoIndex;
  }
  /// One reference is the caller's.
  [[nodiscard]] Index acquire() {
    const Index index = free_;
    if (index == kNoIndex) return kNoIndex;
    free_ = headers_[index].next;
    headers_[index] = Header{kNoIndex, 1, 0};
    ++in_use_;
    return index;
  }
  void add_reference(Index index) { ++headers_[index].references; }
  void release(Index index) {
    require(headers_[index].references > 0, "block released twice");
    if (--headers_[index].references > 0) return;
    headers_[index].next = free_;
    free_ = index;
    --in_use_;
  }
  [[nodiscard]] ByteSpan bytes(Index index) {
    return {memory_.get() + std::size_t{index} * block_octets_, block_octets_};
  }
  [[nodiscard]] ByteView bytes(Index index) const {
    return {memory_.get() + std::size_t{index} * block_octets_, block_octets_};
  }
  /// Octets written from the front; what lies behind is free for the entry that ends there.
  [[nodiscard]] std::uint16_t filled(Index index) const { return headers_[index].filled; }
  void set_filled(Index index, std::uint16_t octets) { headers_[index].filled = octets; }
  [[nodiscard]] std::uint16_t block_octets() const { return block_octets_; }
  [[nodiscard]] std::uint32_t in_use() const { return in_use_; }

 private:
  struct Header {
    Index next{kNoIndex};
    std::uint16_t references{};
    std::uint16_t filled{};
  };
  std::unique_ptr<std::byte[]> memory_;
  std::unique_ptr<Header[]> headers_;
  std::uint16_t block_octets_;
  std::uint32_t in_use_{};
  Index free_;
};

struct Pools {
  EntrySlab entries;
  BlockPool blocks;
  Pools(std::uint32_t entry_count, std::uint32_t block_count, std::uint16_t block_octets = 2048)
      : entries{entry_count}, blocks{block_count, block_octets} {}

  /// Gives back an entry and its reference on a block.
  void release(Index index) {
    if (entries[index].block != kNoIndex) blocks.release(entries[index].block);
    entries.release(index);
  }
  [[nodiscard]] ByteView payload_of(const Entry& entry) const {
    if (entry.octets == 0) return {};
    return blocks.bytes(entry.block).subspan(entry.offset, entry.octets);
  }
};

}  // namespace penstock::tcp
