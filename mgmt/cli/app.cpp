#include "mgmt/cli/app.h"

#include <iostream>

#include "mgmt/cli/completion.h"

namespace penstock::cli {
namespace {

void add_global(CLI::App& app, Context& context) {
  app.set_help_flag("-h,--help", "print help");
  app.add_option("--socket", context.socket, "penstockd's API socket")
      ->envname("PENSTOCK_SOCKET")
      ->capture_default_str();
  app.add_flag("--json", context.json, "print JSON");
  app.add_flag("--no-color", context.no_color, "no colours, as with NO_COLOR");
  app.add_option("--timeout", context.timeout_seconds, "seconds to wait for the daemon, and for --wait")
      ->check(CLI::Range(1, 86'400))
      ->capture_default_str();
}

void add_filters(CLI::App& command, FlowsOptions& into) {
  command.add_option("--service", into.service, "name, address or address:port of a service");
  command.add_option("--client", into.client, "address or prefix of the client");
  command.add_option("--endpoint", into.endpoint, "address or address:port of the endpoint");
  command.add_option("--limit", into.limit, "rows at most")->capture_default_str();
}

void add_reading(CLI::App& app, Invocation& into) {
  CLI::App* status = app.add_subcommand("status", "Verdict, reasons, workers, ports, services; exit 0 when it is ok");
  status->add_flag("--wait", into.status.wait, "until the verdict is ok");
  status->add_flag("--watch", into.status.watch, "again every second")->excludes("--wait");
  status->callback([&into] { into.run = [&into] { return run_status(into.context, into.status); }; });

  app.add_subcommand("ports", "Ports: what is attached and how it steers")->callback([&into] {
    into.run = [&into] { return run_ports(into.context); };
  });
  app.add_subcommand("services", "Listeners and how their flows spread over endpoints")->callback([&into] {
    into.run = [&into] { return run_services(into.context); };
  });

  CLI::App* flows = app.add_subcommand("flows", "Connections in the dataplane, of every tier");
  add_filters(*flows, into.flows);
  flows->callback([&into] { into.run = [&into] { return run_flows(into.context, into.flows); }; });

  CLI::App* connections =
      app.add_subcommand("connections", "Connections that end in the dataplane (mode proxy): TCP state of both legs");
  add_filters(*connections, into.flows);
  connections->callback([&into] { into.run = [&into] { return run_connections(into.context, into.flows); }; });

  CLI::App* top =
      app.add_subcommand("top", "What happens right now: rates of services, routes, clusters and endpoints");
  top->add_flag("--once", into.top.once, "one view, after one interval");
  top->add_option("--interval", into.top.interval_seconds, "seconds between two looks")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  top->add_option("--rows", into.top.rows, "rows of each table at most, the busiest first")->capture_default_str();
  top->callback([&into] { into.run = [&into] { return run_top(into.context, into.top); }; });

  CLI::App* counters = app.add_subcommand("counters", "Every counter, drop reason and steering reason");
  counters->add_flag("--nonzero", into.nonzero, "leave out zeros");
  counters->callback([&into] { into.run = [&into] { return run_counters(into.context, into.nonzero); }; });
}

void add_config(CLI::App& app, Invocation& into) {
  CLI::App* check = app.add_subcommand(
      "check", "Check a configuration without side effects; all problems at once, then warnings and notes");
  check->add_option("FILE", into.check_file, "the file, - for standard input; none: the running configuration");
  check->callback([&into] { into.run = [&into] { return run_check(into.context, into.check_file); }; });

  CLI::App* apply = app.add_subcommand("apply", "Bring a configuration into force, whole or not at all");
  apply->add_flag("--dry-run", into.dry_run, "only say what would change");
  apply->add_option("FILE", into.apply_file, "the file, - for standard input")
      ->envname("PENSTOCK_CONFIG")
      ->capture_default_str();
  apply->callback([&into] { into.run = [&into] { return run_apply(into.context, into.apply_file, into.dry_run); }; });
}

}  // namespace

std::unique_ptr<CLI::App> make_app(Invocation& into) {
  auto app = std::make_unique<CLI::App>("See and steer Penstock.", "penstock");
  app->require_subcommand(1);
  app->fallthrough();
  add_global(*app, into.context);
  add_reading(*app, into);
  add_config(*app, into);
  app->add_subcommand("preflight", "Can this machine run Penstock? Every answer with its remedy")->callback([&into] {
    into.run = [&into] { return run_preflight(into.context); };
  });
  CLI::App* completion = app->add_subcommand("completion", "Completion script for a shell");
  completion->add_option("SHELL", into.shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->callback([&into, root = app.get()] {
    into.run = [&into, root] {
      std::cout << completion_script(*root, into.shell);
      return kExitGood;
    };
  });
  app->add_subcommand("version", "Versions of this program and of the running daemon")->callback([&into] {
    into.run = [&into] { return run_version(into.context); };
  });
  return app;
}

}  // namespace penstock::cli
