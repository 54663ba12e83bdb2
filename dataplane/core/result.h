// result.h - a value, or why there is none (std::expected needs C++23).
//
// Model     Result<T, E> off the hot path; Parsed<T> for a peer's bytes, where E is a DropReason.
// Errors    reading the wrong side breaks an invariant.
#pragma once
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dataplane/core/drop_reason.h"
#include "dataplane/core/require.h"

namespace penstock {

/// A problem for a person: where, what, and what to do about it.
struct Problem {
  std::string place;   ///< file:line:column, an interface, a system call
  std::string what;    ///< what is wrong
  std::string remedy;  ///< how to put it right; may be empty
  [[nodiscard]] std::string text() const {
    std::string out = place.empty() ? what : place + ": " + what;
    if (!remedy.empty()) out += " (" + remedy + ")";
    return out;
  }
  friend bool operator==(const Problem&, const Problem&) = default;
};
using Problems = std::vector<Problem>;

template <typename T, typename E = Problem>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_{std::in_place_index<0>, std::move(value)} {}
  Result(E error) : state_{std::in_place_index<1>, std::move(error)} {}
  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] T& value() & {
    require(ok(), "Result holds an error");
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] const T& value() const& {
    require(ok(), "Result holds an error");
    return *std::get_if<0>(&state_);
  }
  [[nodiscard]] T&& value() && {
    require(ok(), "Result holds an error");
    return std::move(*std::get_if<0>(&state_));
  }
  [[nodiscard]] const E& error() const {
    require(!ok(), "Result holds a value");
    return *std::get_if<1>(&state_);
  }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }

 private:
  std::variant<T, E> state_;
};

/// Success without a value.
struct Done {
  friend bool operator==(Done, Done) = default;
};
using Status = Result<Done, Problem>;

/// A parsed value, or the one reason why the bytes were refused. No text, no allocation. T is trivially copyable.
template <typename T>
class [[nodiscard]] Parsed {
 public:
  constexpr Parsed(T value) : value_{value}, reason_{DropReason::none} {}
  constexpr Parsed(DropReason reason) : empty_{}, reason_{reason} {}
  [[nodiscard]] constexpr bool ok() const { return reason_ == DropReason::none; }
  constexpr explicit operator bool() const { return ok(); }
  [[nodiscard]] constexpr DropReason reason() const { return reason_; }
  constexpr const T& operator*() const {
    require(ok(), "Parsed holds no value");
    return value_;
  }
  constexpr const T* operator->() const { return &**this; }

 private:
  union {
    T value_;
    char empty_;
  };
  DropReason reason_;
};

}  // namespace penstock
