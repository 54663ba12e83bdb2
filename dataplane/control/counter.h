// counter.h - a number that one thread writes and any process reads.
//
// Model     plain add without a locked instruction; readers see some recent value.
#pragma once
#include <atomic>
#include <cstdint>

namespace penstock::control {

/// One writer, any reader: plain add without a locked instruction.
class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed); }
  void sub(std::uint64_t n = 1) { value_.store(value_.load(std::memory_order_relaxed) - n, std::memory_order_relaxed); }
  void set(std::uint64_t n) { value_.store(n, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t read() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{};
};

}  // namespace penstock::control
