// commands.h - what each command does. Data goes to stdout, everything else to stderr.
//
// Errors    the exit codes of source.h; problems are printed with their remedy.
#pragma once
#include <cstdint>
#include <string>

#include "mgmt/cli/render.h"
#include "mgmt/cli/source.h"

namespace penstock::cli {

inline constexpr const char* kDefaultSocket = "/run/penstock/penstockd.sock";
inline constexpr const char* kDefaultConfig = "/etc/penstock/penstock.yaml";

struct Context {
  std::string socket{kDefaultSocket};
  bool json{};
  bool no_color{};
  std::uint32_t timeout_seconds{60};

  [[nodiscard]] Source source() const { return {socket, std::chrono::seconds{timeout_seconds}}; }
  [[nodiscard]] Style style() const;
};

struct StatusOptions {
  bool wait{};   ///< until the verdict is ok
  bool watch{};  ///< again every second
};
struct FlowsOptions {
  std::string service, client, endpoint;
  std::uint32_t limit{100};
};

[[nodiscard]] int run_status(const Context& context, const StatusOptions& options);
[[nodiscard]] int run_ports(const Context& context);
[[nodiscard]] int run_services(const Context& context);
[[nodiscard]] int run_flows(const Context& context, const FlowsOptions& options);
[[nodiscard]] int run_connections(const Context& context, const FlowsOptions& options);
[[nodiscard]] int run_counters(const Context& context, bool nonzero);
/// `file` empty: the running configuration; "-": standard input. A file needs no daemon.
[[nodiscard]] int run_check(const Context& context, const std::string& file);
[[nodiscard]] int run_apply(const Context& context, const std::string& file, bool dry_run);
[[nodiscard]] int run_preflight(const Context& context);
[[nodiscard]] int run_version(const Context& context);

}  // namespace penstock::cli
