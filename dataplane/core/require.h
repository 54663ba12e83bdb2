// require.h - the one way to assert our own invariants.
//
// Model     a broken invariant is a bug of ours: say where, end the process. Never for a peer's bytes.
// Errors    none: it does not return when the condition is false.
#pragma once
#include <string_view>

namespace penstock {

/// Ends the process with `text` and the place on stderr.
[[noreturn]] void require_failed(std::string_view text, const char* file, int line) noexcept;

/// Fatal when `condition` is false. Cheap enough to stay on in release builds.
constexpr void require(bool condition, std::string_view text, const char* file = __builtin_FILE(),
                       int line = __builtin_LINE()) {
  if (!condition) [[unlikely]]
    require_failed(text, file, line);
}

}  // namespace penstock
