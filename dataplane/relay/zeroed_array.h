// zeroed_array.h - an array of zeros that costs no resident memory until an element is written.
//
// Model     zeroed pages straight from the system, taken before a worker starts. All zero is a value of every element
//           type here; that is the difference to tcp/lazy_array.h, whose elements have none.
// Errors    no memory breaks an invariant: this happens at the start only.
#pragma once
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <type_traits>

#include "dataplane/core/require.h"

namespace penstock::relay {

template <typename T>
class ZeroedArray {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  explicit ZeroedArray(std::size_t count)
      // check_layers: allow(banned) calloc hands out untouched zero pages, which is the point; at the start only
      : array_{static_cast<T*>(std::calloc(count == 0 ? 1 : count, sizeof(T))), [](T* a) { std::free(a); }} {
    require(array_ != nullptr, "no memory at the start");
  }
  [[nodiscard]] T& operator[](std::size_t index) { return array_[index]; }
  [[nodiscard]] const T& operator[](std::size_t index) const { return array_[index]; }

 private:
  std::unique_ptr<T[], void (*)(T*)> array_;
};

}  // namespace penstock::relay
