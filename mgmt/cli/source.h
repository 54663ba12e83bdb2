// source.h - where the CLI's answers come from: the daemon, or the dataplane itself when there is no daemon.
//
// Model     get() asks penstockd. When nobody answers there and the resource can be read without it (status,
//           services, counters, flows), the dataplane's control socket in the same directory gives segment and flow
//           arenas, and the last good configuration there gives the names.
// Errors    Failure with the exit code to use.
#pragma once
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "dataplane/core/result.h"
#include "mgmt/api/client.h"

namespace penstock::cli {

inline constexpr int kExitGood = 0;
inline constexpr int kExitNegative = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnreachable = 3;
inline constexpr int kExitTimeout = 4;

using Json = nlohmann::ordered_json;
using Query = std::map<std::string, std::string>;

struct Fault {
  int exit_code;
  std::string text;
  Json body;  ///< what the daemon said, when it did
};
struct Answer {
  Json body;
  bool direct{};  ///< read without the daemon
};

class Source {
 public:
  Source(std::string socket_path, std::chrono::milliseconds timeout)
      : socket_path_{std::move(socket_path)}, timeout_{timeout} {}
  [[nodiscard]] Result<Answer, Fault> get(const std::string& path, const Query& query = {}) const;
  [[nodiscard]] Result<Json, Fault> post(const std::string& path, const Query& query, const std::string& body) const;
  /// The running configuration's YAML.
  [[nodiscard]] Result<std::string, Fault> text(const std::string& path) const;

 private:
  [[nodiscard]] Result<api::Response, Fault> ask(api::Request request) const;
  std::string socket_path_;
  std::chrono::milliseconds timeout_;
};

}  // namespace penstock::cli
