#include "dataplane/core/require.h"

#include <cstdio>
#include <cstdlib>

namespace penstock {

void require_failed(std::string_view text, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: invariant broken: %.*s\n", file, line, static_cast<int>(text.size()), text.data());
  std::abort();
}

}  // namespace penstock
