// spsc_ring.h - bounded ring of one producer and one consumer, also across processes.
//
// Model     the control block and the slots live in memory that the caller provides (heap or shared mapping);
//           SpscRing is a handle on them. Publish once per burst: push() fills, publish() makes visible.
//           The peer process is not trusted with indices: they are masked before use, and a peer that runs ahead
//           of the ring reads as an empty or full ring, never as an access outside it.
// Limits    capacity is a power of two.
// Errors    push() on a full ring returns false: the caller counts and applies its policy. Nothing ever waits.
// Wake-up   consumer: announce_sleep(), test empty() again, then sleep on its eventfd. Producer: after publish(),
//           if consumer_sleeps() write the eventfd. Sequentially consistent fences make one of them see the other.
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "dataplane/core/require.h"

namespace penstock {

/// Indices of one ring; zero-initialised memory is an empty ring.
struct alignas(64) RingControl {
  alignas(64) std::atomic<std::uint32_t> head{};  ///< next to write, producer's
  alignas(64) std::atomic<std::uint32_t> tail{};  ///< next to read, consumer's
  alignas(64) std::atomic<std::uint32_t> sleeping{};
};
static_assert(sizeof(RingControl) == 192 && std::atomic<std::uint32_t>::is_always_lock_free);

template <typename T>
requires std::is_trivially_copyable_v<T>
class SpscRing {
 public:
  SpscRing() = default;
  SpscRing(RingControl& control, std::span<T> slots)
      : control_{&control},
        slots_{slots.data()},
        mask_{static_cast<std::uint32_t>(slots.size()) - 1},
        head_{control.head.load(std::memory_order_acquire)},
        tail_{control.tail.load(std::memory_order_acquire)} {
    require(!slots.empty() && (slots.size() & (slots.size() - 1)) == 0, "ring capacity is not a power of two");
  }
  [[nodiscard]] std::size_t capacity() const { return mask_ + 1u; }

  // Producer.
  /// False when full; nothing is written then.
  [[nodiscard]] bool push(const T& item) {
    if (head_ - tail_ > mask_) {
      tail_ = control_->tail.load(std::memory_order_acquire);
      if (head_ - tail_ > mask_) return false;
    }
    slots_[head_ & mask_] = item;
    ++head_;
    return true;
  }
  /// Makes everything pushed visible. True when there was anything new.
  bool publish() {
    if (control_->head.load(std::memory_order_relaxed) == head_) return false;
    control_->head.store(head_, std::memory_order_release);
    return true;
  }
  [[nodiscard]] bool consumer_sleeps() const {
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return control_->sleeping.load(std::memory_order_relaxed) != 0;
  }

  // Consumer.
  /// False when empty.
  [[nodiscard]] bool pop(T& into) {
    if (head_ == tail_) {
      head_ = control_->head.load(std::memory_order_acquire);
      if (head_ == tail_) return false;
      if (head_ - tail_ > mask_ + 1u) tail_ = head_ - (mask_ + 1u);  // the producer broke the protocol
    }
    into = slots_[tail_ & mask_];
    ++tail_;
    control_->tail.store(tail_, std::memory_order_release);
    return true;
  }
  [[nodiscard]] bool empty() const { return control_->head.load(std::memory_order_acquire) == tail_; }
  void announce_sleep() {
    control_->sleeping.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  void announce_awake() { control_->sleeping.store(0, std::memory_order_relaxed); }

 private:
  RingControl* control_{};
  T* slots_{};
  std::uint32_t mask_{};
  std::uint32_t head_{};  // producer: own position; consumer: last seen
  std::uint32_t tail_{};  // consumer: own position; producer: last seen
};

}  // namespace penstock
