// client.h - one request to the daemon's Unix socket.
//
// Errors    Failure tells an unreachable daemon from one that does not answer in time; the CLI's exit code depends
//           on it.
#pragma once
#include <chrono>
#include <string>

#include "dataplane/core/result.h"
#include "mgmt/api/http.h"

namespace penstock::api {

struct Failure {
  enum class Kind { unreachable, timeout, broken } kind;
  std::string text;
};
/// Blocks up to `at_most`.
[[nodiscard]] Result<Response, Failure> call(const std::string& socket_path, const Request& request,
                                             std::chrono::milliseconds at_most);

}  // namespace penstock::api
