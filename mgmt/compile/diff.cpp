#include "mgmt/compile/diff.h"

#include <algorithm>
#include <map>

#include "mgmt/config/fields.h"

namespace penstock::compile {
namespace {

using config::Config;

std::string address_text(const config::Endpoint& endpoint) {
  const std::string address = endpoint.address.text();
  return (endpoint.address.is_v4() ? address : "[" + address + "]") + ":" + std::to_string(endpoint.port);
}

/// "key old -> new" for every field that shows differently.
template <typename T>
void field_changes(const std::string& prefix, const T& before, const T& after, std::vector<std::string>& out) {
  const auto shown = [](std::string text) { return text.empty() ? std::string{"unset"} : text; };
  for (const config::Field<T>& field : config::Table<T>::fields) {
    const std::string old_text = field.show(before);
    const std::string new_text = field.show(after);
    if (old_text != new_text)
      out.push_back(prefix + std::string{field.key} + " " + shown(old_text) + " -> " + shown(new_text));
  }
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const std::string& part : parts) out += (out.empty() ? "" : ", ") + part;
  return out;
}

std::vector<std::string> node_changes(const config::Node& before, const config::Node& after) {
  std::vector<std::string> out;
  field_changes("", before, after, out);
  field_changes("metrics.", before.metrics, after.metrics, out);
  field_changes("limits.", before.limits, after.limits, out);
  field_changes("timeouts.", before.timeouts, after.timeouts, out);
  field_changes("proxy.", before.proxy, after.proxy, out);
  field_changes("access_log.", before.access_log, after.access_log, out);
  if (before.addresses != after.addresses) out.emplace_back("addresses");
  if (before.cpus != after.cpus) out.emplace_back("cpus");
  return out;
}

/// Items of both sides by key, in the order of the new side, removed ones last. `compare` gives what changed in an
/// item that both have, "" for nothing.
template <typename T, typename Key, typename Compare>
void compare_lists(const std::string& kind, const std::vector<T>& before, const std::vector<T>& after, Key key,
                   Compare compare, std::vector<Change>& out) {
  std::map<std::string, const T*> old_items;
  for (const T& item : before) old_items.emplace(key(item), &item);
  for (const T& item : after) {
    const auto old_item = old_items.find(key(item));
    if (old_item == old_items.end()) {
      out.push_back({ChangeKind::added, kind + " " + key(item), ""});
      continue;
    }
    if (std::string detail = compare(*old_item->second, item); !detail.empty())
      out.push_back({ChangeKind::changed, kind + " " + key(item), std::move(detail)});
    old_items.erase(old_item);
  }
  for (const T& item : before)
    if (old_items.contains(key(item))) out.push_back({ChangeKind::removed, kind + " " + key(item), ""});
}

template <typename T>
std::string changes_text(const T& before, const T& after) {
  std::vector<std::string> out;
  field_changes("", before, after, out);
  return joined(out);
}

std::string listener_changes(const config::Listener& before, const config::Listener& after) {
  std::vector<std::string> out;
  field_changes("", before, after, out);
  if (before.ask != after.ask) {
    field_changes("ask.", before.ask, after.ask, out);
    if (before.ask.rules != after.ask.rules) out.emplace_back("ask.rules");
  }
  if (before.virtual_hosts != after.virtual_hosts) out.emplace_back("virtual_hosts");
  field_changes("http.", before.http, after.http, out);
  return joined(out);
}

std::string cluster_detail(const config::Cluster& before, const config::Cluster& after) {
  std::vector<std::string> out;
  field_changes("", before, after, out);
  if (before.hash_policy != after.hash_policy) out.emplace_back("hash_policy");
  field_changes("circuit_breakers.", before.circuit_breakers, after.circuit_breakers, out);
  if (before.circuit_breakers.retry_budget != after.circuit_breakers.retry_budget)
    out.emplace_back("circuit_breakers.retry_budget");
  if (before.outlier_detection != after.outlier_detection) out.emplace_back("outlier_detection");
  if (before.health_checks != after.health_checks) out.emplace_back("health_checks");
  return joined(out);
}

std::string port_key(const config::Port& port) { return port.netns ? port.name + " in " + *port.netns : port.name; }

void cluster_changes(const Config& before, const Config& after, std::vector<Change>& out) {
  const auto name = [](const config::Cluster& cluster) { return cluster.name; };
  compare_lists("cluster", before.clusters, after.clusters, name, cluster_detail, out);
  const auto endpoints = [&](const std::string& cluster, const std::vector<config::Endpoint>& was,
                             const std::vector<config::Endpoint>& is) {
    compare_lists("endpoint " + cluster, was, is, address_text, changes_text<config::Endpoint>, out);
  };
  for (const config::Cluster& cluster : after.clusters) {
    const config::Cluster* was = config::find_cluster(before, cluster.name);
    endpoints(cluster.name, was == nullptr ? std::vector<config::Endpoint>{} : was->endpoints, cluster.endpoints);
  }
  for (const config::Cluster& cluster : before.clusters)
    if (config::find_cluster(after, cluster.name) == nullptr) endpoints(cluster.name, cluster.endpoints, {});
}

}  // namespace

std::vector<Change> diff(const Config& before, const Config& after) {
  std::vector<Change> out;
  if (std::string detail = joined(node_changes(before.node, after.node)); !detail.empty())
    out.push_back({ChangeKind::changed, "node", std::move(detail)});
  compare_lists("port", before.ports, after.ports, port_key, changes_text<config::Port>, out);
  cluster_changes(before, after, out);
  const auto name = [](const config::Listener& listener) { return listener.name; };
  compare_lists("listener", before.listeners, after.listeners, name, listener_changes, out);
  return out;
}

std::vector<std::string> restart_needed(const Config& before, const Config& after) {
  const config::Node& was = before.node;
  const config::Node& is = after.node;
  std::vector<std::string> out;
  const auto check = [&](bool same, const char* key) {
    if (!same) out.emplace_back(key);
  };
  check(was.runtime_dir == is.runtime_dir, "node.runtime_dir");
  check(was.workers == is.workers, "node.workers");
  check(was.cpus == is.cpus, "node.cpus");
  check(was.hugepages == is.hugepages, "node.hugepages");
  check(was.memory_mib == is.memory_mib, "node.memory_mib");
  check(was.limits.flows_per_worker == is.limits.flows_per_worker, "node.limits.flows_per_worker");
  check(was.proxy.connections_per_worker == is.proxy.connections_per_worker, "node.proxy.connections_per_worker");
  check(was.limits.buffers_per_worker == is.limits.buffers_per_worker, "node.limits.buffers_per_worker");
  check(was.limits.receive_ring == is.limits.receive_ring, "node.limits.receive_ring");
  return out;
}

std::string text(const std::vector<Change>& changes) {
  std::string out;
  for (const Change& change : changes) {
    const char* mark = change.kind == ChangeKind::added ? "+ " : change.kind == ChangeKind::removed ? "- " : "~ ";
    out += mark + change.what + (change.detail.empty() ? "" : " " + change.detail) + "\n";
  }
  return out;
}

}  // namespace penstock::compile
