#include "mgmt/daemon/options.h"

#include <CLI/CLI.hpp>

#include "mgmt/telemetry/version.h"

namespace penstock::daemon {

bool parse_options(int argc, char** argv, Options& into, int& exit_code) {
  CLI::App app{"Penstock's management daemon: configuration, steering, the dataplane's life, API and metrics.",
               "penstockd"};
  app.set_version_flag("--version", std::string{"penstockd "} + telemetry::kVersion + " (" + telemetry::kBuild + ")");
  app.add_option("-c,--config", into.config_file, "configuration file")
      ->envname("PENSTOCK_CONFIG")
      ->capture_default_str();
  app.add_option("--runtime-dir", into.runtime_dir,
                 "node.runtime_dir of a running dataplane, to go on with its last good configuration when the file is "
                 "wrong")
      ->capture_default_str();
  app.add_option("--dataplane", into.dataplane, "penstock-dataplane to start (default: beside penstockd, then PATH)")
      ->envname("PENSTOCK_DATAPLANE");
  app.add_option("--log-level", into.log_level, "trace, debug, info, warn, error")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error"}))
      ->capture_default_str();
  app.add_flag("--leave-running", into.leave_running, "on SIGTERM leave dataplane and steering as they are (upgrade)");
  app.add_flag("--generic-xdp", into.generic_xdp, "use generic XDP where the driver has no native mode (slow)");
  app.footer(
      "Signals: HUP reloads the configuration, TERM and INT stop.\n"
      "Exit codes: 0 stopped, 1 start failed, 2 usage, 78 bad configuration.");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {
    exit_code = app.exit(success);
    return false;
  } catch (const CLI::ParseError& error) {
    app.exit(error);
    exit_code = kExitUsage;
    return false;
  }
  return true;
}

}  // namespace penstock::daemon
