#include "mgmt/config/reference.h"

#include "mgmt/config/fields.h"

namespace penstock::config {
namespace {

template <typename T>
std::string section(std::string_view title, std::string_view introduction) {
  std::string out = "\n## " + std::string{title} + "\n";
  if (!introduction.empty()) out += std::string{introduction} + "\n";
  out += "\n| key | value | default | meaning |\n|---|---|---|---|\n";
  const T defaults{};
  for (const Field<T>& field : Table<T>::fields) {
    const std::string shown = field.required ? "**required**" : field.show(defaults);
    out += "| `" + std::string{field.key} + "` | " + field.type() + " | " + (shown.empty() ? "-" : shown) + " | " +
           std::string{field.meaning} + " |\n";
  }
  return out;
}

constexpr std::string_view kIntroduction =
    R"(# Configuration reference

Made by `config_reference` from the table that reads the file (`mgmt/config/fields.h`); do not edit.

`penstockd` reads one YAML document. `penstock check FILE` tells every problem at once, with its place; a file with
any problem changes nothing. Durations carry a unit: `ms`, `s`, `m` or `h`. IPv6 addresses inside `[ ]` or `{ }` need
quotes. Anchors, aliases and tags are refused. Examples: [example.yaml](example.yaml) as the demo runs it,
[config_example.yaml](config_example.yaml) with every section.

Beyond the bounds of single values these must hold:
- names of listeners and of clusters are unique; so are ports by name and network namespace, endpoints by address and
  port within a cluster, and services by address, port and protocol;
- a listener's cluster exists, has endpoints of the listener's address family only, and none of them is a service
  of this node;
- `forwarding: fullnat` needs a node address of the listener's family;
- a listener, or the monitoring endpoint, on a node address keeps out of `source_ports`; these hold at least 256
  ports per worker;
- `cpus`, when given, lists one available CPU per worker; `workers` is at most the number of CPUs;
- `memory_mib` holds the packet buffers (2.5 KiB each) of all workers; `watchdog` is above `heartbeat_limit`;
- `mode: proxy` goes with `protocol: tcp` and `forwarding: fullnat`;
- `proxy.connections_per_worker` is at most `limits.flows_per_worker`, `proxy.half_open_max` at most
  `connections_per_worker`; left out, both follow a lower bound by themselves;
- `policy: ask` comes with an `ask` section that has rules of the listener's family, each source once; other policies
  come without one.
)";

}  // namespace

std::string config_page() {
  std::string out{kIntroduction};
  out += section<Config>("Top level", "");
  out += section<Node>("`node`", "");
  out += section<Metrics>("`node.metrics`", "");
  out += section<Limits>("`node.limits`", "Changes take effect when the dataplane restarts.");
  out += section<Timeouts>("`node.timeouts`", "");
  out += section<Proxy>("`node.proxy`", "All numbers are per worker. What the mode does: [proxy](proxy.md).");
  out += section<Port>("`ports[]`", "");
  out += section<Cluster>("`clusters[]`", "");
  out += section<Endpoint>("`clusters[].endpoints[]`", "");
  out += section<Listener>("`listeners[]`", "");
  out += section<Ask>("`listeners[].ask`", "");
  out += section<AskRule>("`listeners[].ask.rules[]`", "");
  return out;
}

}  // namespace penstock::config
