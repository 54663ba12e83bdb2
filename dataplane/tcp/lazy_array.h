// lazy_array.h - an array of fixed size that takes no memory until it is written.
//
// Model     large allocations come from the system as untouched pages, and nothing here writes to them. An element
//           has no value until it is assigned; the user remembers which ones were.
// Shape     one pointer; move-only.
// Errors    no address space at the start: as any failed allocation at the start.
#pragma once
#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>

namespace penstock::tcp {

template <typename T>
class LazyArray {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
  static_assert(alignof(T) <= __STDCPP_DEFAULT_NEW_ALIGNMENT__);

 public:
  explicit LazyArray(std::size_t count) : bytes_{std::make_unique_for_overwrite<std::byte[]>(count * sizeof(T))} {}
  [[nodiscard]] T& operator[](std::size_t index) { return data()[index]; }
  [[nodiscard]] const T& operator[](std::size_t index) const { return data()[index]; }
  // Plain values: an array of octets provides storage for them without more ado (C++20 [intro.object]).
  [[nodiscard]] T* data() { return std::launder(reinterpret_cast<T*>(bytes_.get())); }
  [[nodiscard]] const T* data() const { return std::launder(reinterpret_cast<const T*>(bytes_.get())); }

 private:
  std::unique_ptr<std::byte[]> bytes_;
};

}  // namespace penstock::tcp
