// slab.h - objects by index, made before the start and handed out again.
//
// Model     capacity is reserved at once; memory is touched when an index is first used. Freed indices are used
//           again, the latest first.
// Errors    acquire() gives kNone when all are in use.
#pragma once
#include <cstdint>
#include <utility>
#include <vector>

namespace penstock::proxy {

template <typename T>
class Slab {
 public:
  using Index = std::uint32_t;
  static constexpr Index kNone = 0xffffffff;

  explicit Slab(std::size_t capacity) {
    items_.reserve(capacity);
    free_.reserve(capacity);
  }
  /// A fresh object made of `arguments`.
  template <typename... Arguments>
  [[nodiscard]] Index acquire(Arguments&&... arguments) {
    if (!free_.empty()) {
      const Index index = free_.back();
      free_.pop_back();
      items_[index] = T{std::forward<Arguments>(arguments)...};
      return index;
    }
    if (items_.size() == items_.capacity()) return kNone;
    items_.emplace_back(std::forward<Arguments>(arguments)...);
    return static_cast<Index>(items_.size() - 1);
  }
  void release(Index index) { free_.push_back(index); }
  /// Was it ever given out?
  [[nodiscard]] bool knows(Index index) const { return index < items_.size(); }
  [[nodiscard]] T& operator[](Index index) { return items_[index]; }
  [[nodiscard]] const T& operator[](Index index) const { return items_[index]; }
  [[nodiscard]] std::size_t in_use() const { return items_.size() - free_.size(); }

 private:
  std::vector<T> items_;
  std::vector<Index> free_;
};

}  // namespace penstock::proxy
