// options.h - penstockd's command line.
#pragma once
#include <string>

namespace penstock::daemon {

inline constexpr int kExitStartFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitBadConfig = 78;

struct Options {
  std::string config_file{"/etc/penstock/penstock.yaml"};
  std::string runtime_dir{"/run/penstock"};  ///< where a running dataplane is looked for when config_file is wrong
  std::string dataplane;  ///< path of penstock-dataplane; empty = found beside penstockd, then in PATH
  std::string log_level{"info"};
  bool leave_running{};  ///< SIGTERM ends the daemon alone
  bool generic_xdp{};    ///< attach in generic mode where the driver has no native XDP
};

/// Parses; when there is nothing to run (help, version, wrong usage) returns false and sets `exit_code`.
[[nodiscard]] bool parse_options(int argc, char** argv, Options& into, int& exit_code);

}  // namespace penstock::daemon
