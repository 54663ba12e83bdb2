// system_problem.h - a Problem out of an errno.
#pragma once
#include <cerrno>
#include <cstring>
#include <string>

#include "dataplane/core/result.h"

namespace penstock::kernel {

/// "what: No such file or directory". `error` may be negative, as libbpf and netlink return it.
[[nodiscard]] inline Problem system_problem(std::string place, const std::string& what, int error,
                                            std::string remedy = {}) {
  return {std::move(place), what + ": " + std::strerror(error < 0 ? -error : error), std::move(remedy)};
}

}  // namespace penstock::kernel
