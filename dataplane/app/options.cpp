#include "dataplane/app/options.h"

#include <CLI/CLI.hpp>
#include <string>

#include "dataplane/app/version.h"

namespace penstock::app {

ParsedOptions parse_options(int argc, char** argv) {
  Options options;
  CLI::App app{"Forwards mesh traffic that XDP steers to it. Started and told what to do by penstockd.",
               "penstock-dataplane"};
  app.set_version_flag("--version", std::string{"penstock-dataplane "} + kVersion);
  app.add_option("--control-socket", options.control_socket, "socket that penstockd connects to")
      ->capture_default_str();
  app.add_option("--workers", options.workers, "poll-mode threads")->capture_default_str();
  app.add_option("--cpus", options.cpus, "CPU of each worker, separated by commas")->delimiter(',');
  app.add_option("--memory-mib", options.memory_mib, "ceiling for frame buffers")->capture_default_str();
  std::string hugepages = "auto";
  app.add_option("--hugepages", hugepages, "off, auto or required")
      ->check(CLI::IsMember({"off", "auto", "required"}))
      ->capture_default_str();
  app.add_option("--buffers", options.buffers, "frame buffers per worker")->capture_default_str();
  app.add_option("--receive-ring", options.receive_ring, "frames that a receive queue holds, while memory permits")
      ->capture_default_str();
  app.add_option("--flows", options.flows, "connections per worker")->capture_default_str();
  app.add_option("--proxy-connections", options.proxy_connections, "connections that end here, per worker")
      ->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return {std::nullopt, code == 0 ? 0 : 2};
  }
  if (hugepages == "off") options.hugepages = io::Hugepages::off;
  if (hugepages == "required") options.hugepages = io::Hugepages::required;
  return {options, 0};
}

}  // namespace penstock::app
