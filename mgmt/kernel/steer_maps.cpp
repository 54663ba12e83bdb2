#include "mgmt/kernel/steer_maps.h"

#include <bpf/bpf.h>

#include <cstring>
#include <filesystem>

#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

// Keys and values as bytes: the maps compare keys so, and one diff serves all of them.
using Entries = std::map<std::string, std::string>;

template <typename T>
std::string bytes_of(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

penstock_addr abi_address(const IpAddress& address) {
  penstock_addr out{};
  std::memcpy(out.octets, address.octets.data(), sizeof out.octets);
  return out;
}

penstock_steer_key abi_key(const IpAddress& address, Be16 port, IpProto proto) {
  return {abi_address(address), {port.wire()}, static_cast<__u8>(proto), 0};
}

struct TableDiff {
  const char* map;
  int fd;
  std::size_t limit;
  Entries wanted;
  std::vector<std::string> stale;  // keys to remove
};

Result<Entries> dump(const TableDiff& table, std::size_t key_octets, std::size_t value_octets) {
  Entries out;
  std::string key(key_octets, '\0');
  std::string next(key_octets, '\0');
  std::string value(value_octets, '\0');
  const void* previous = nullptr;
  while (bpf_map_get_next_key(table.fd, previous, next.data()) == 0) {
    if (bpf_map_lookup_elem(table.fd, next.data(), value.data()) == 0) out.emplace(next, value);
    key = next;
    previous = key.data();
  }
  if (errno != ENOENT) return system_problem(table.map, "cannot read the map", errno);
  return out;
}

// Writes what is new or differs; notes what is to go.
Status add_to(TableDiff& table, SteerChange& change) {
  bpf_map_info info{};
  __u32 octets = sizeof info;
  if (const int error = bpf_obj_get_info_by_fd(table.fd, &info, &octets); error != 0)
    return system_problem(table.map, "cannot read the map", error);
  auto present = dump(table, info.key_size, info.value_size);
  if (!present) return present.error();
  for (const auto& [key, value] : table.wanted) {
    const auto found = present->find(key);
    if (found != present->end() && found->second == value) continue;
    if (const int error = bpf_map_update_elem(table.fd, key.data(), value.data(), BPF_ANY); error != 0)
      return system_problem(table.map, "cannot write an entry", error);
    ++(found == present->end() ? change.added : change.updated);
  }
  for (const auto& [key, value] : *present)
    if (!table.wanted.contains(key)) table.stale.push_back(key);
  return Done{};
}

Status remove_stale(const TableDiff& table, SteerChange& change) {
  for (const std::string& key : table.stale) {
    const int error = bpf_map_delete_elem(table.fd, key.data());
    if (error != 0 && error != -ENOENT) return system_problem(table.map, "cannot remove an entry", error);
    ++change.removed;
  }
  return Done{};
}

Status insert(TableDiff& table, std::string key, std::string value, const std::string& text) {
  if (!table.wanted.emplace(std::move(key), std::move(value)).second)
    return Problem{table.map, "two entries for " + text, "every service, source and address may appear once"};
  if (table.wanted.size() > table.limit)
    return Problem{table.map, "more than " + std::to_string(table.limit) + " entries", "docs/guide/limits.md"};
  return Done{};
}

std::string text_of(const IpAddress& address, Be16 port, IpProto proto) {
  return address.text() + " port " + std::to_string(port.host()) + (proto == IpProto::tcp ? " tcp" : " udp");
}

Status fill(const SteerState& state, TableDiff& services, TableDiff& sources, TableDiff& addresses, TableDiff& nodes) {
  for (const SteerService& s : state.services) {
    const penstock_steer_value value{s.listener_id, s.dnat ? __u32{PENSTOCK_SERVICE_DNAT} : 0u};
    if (auto done = insert(services, bytes_of(abi_key(s.address, s.port, s.proto)), bytes_of(value),
                           text_of(s.address, s.port, s.proto));
        !done)
      return done;
  }
  for (const SteerSource& s : state.sources)
    if (auto done = insert(sources, bytes_of(abi_key(s.address, s.port, s.proto)), bytes_of(penstock_steer_value{}),
                           text_of(s.address, s.port, s.proto));
        !done)
      return done;
  for (const SteerAddress& a : state.addresses) {
    const __u32 flags =
        (a.neighbor ? __u32{PENSTOCK_ADDRESS_NEIGHBOR} : 0u) | (a.echo ? __u32{PENSTOCK_ADDRESS_ECHO} : 0u);
    if (auto done = insert(addresses, bytes_of(abi_address(a.address)), bytes_of(penstock_address_value{flags, 0}),
                           a.address.text());
        !done)
      return done;
  }
  for (const SteerNode& n : state.nodes) {
    if (n.low > n.high) return Problem{"steer_nodes", "port range of " + n.address.text() + " is empty", ""};
    if (auto done = insert(nodes, bytes_of(abi_address(n.address)), bytes_of(penstock_port_range{n.low, n.high, 0}),
                           n.address.text());
        !done)
      return done;
  }
  return Done{};
}

}  // namespace

Result<SteerMaps> SteerMaps::open(const std::string& pin_dir) {
  auto definitions = open_steer();
  if (!definitions) return definitions.error();
  SteerMaps out;
  MapFds reuse;
  for (const char* name : kSharedMaps) {
    const std::string path = pin_dir + "/" + name;
    UniqueFd fd{bpf_obj_get(path.c_str())};
    if (!fd) {
      if (errno == ENOENT) continue;
      return system_problem(path, "cannot open the pinned map", errno);
    }
    if (auto same = check_layout(*definitions, name, fd.get(), path); !same) return same.error();
    reuse.emplace(name, fd.get());
    out.maps_.emplace(name, std::move(fd));
  }
  if (reuse.size() < kSharedMaps.size()) {
    auto loaded = load_steer(reuse);
    if (!loaded) return loaded.error();
    for (const char* name : kSharedMaps) {
      if (reuse.contains(name)) continue;
      const std::string path = pin_dir + "/" + name;
      if (const int error = bpf_obj_pin(map_fd(*loaded, name), path.c_str()); error != 0)
        return system_problem(path, "cannot pin the map", error, "the directory must be a bpf file system");
      UniqueFd fd{bpf_obj_get(path.c_str())};
      if (!fd) return system_problem(path, "cannot open the pinned map", errno);
      out.maps_.emplace(name, std::move(fd));
    }
  }
  penstock_steer_config config{};
  const __u32 zero = 0;
  if (const int error = bpf_map_lookup_elem(out.fd("steer_config"), &zero, &config); error != 0)
    return system_problem(pin_dir + "/steer_config", "cannot read", error);
  if (config.abi_version == 0) {  // just created
    if (auto done = out.write_config(SteerSettings{}, false); !done) return done.error();
  } else if (config.abi_version != PENSTOCK_ABI_VERSION) {
    return Problem{pin_dir + "/steer_config",
                   "pinned maps are of ABI version " + std::to_string(config.abi_version) + ", this build speaks " +
                       std::to_string(PENSTOCK_ABI_VERSION),
                   "stop the other version of penstockd, then remove the pins"};
  }
  if (auto done = out.update_device_flag(); !done) return done.error();
  return out;
}

int SteerMaps::fd(std::string_view name) const {
  const auto found = maps_.find(name);
  require(found != maps_.end(), "unknown map name");
  return found->second.get();
}

MapFds SteerMaps::fds() const {
  MapFds out;
  for (const auto& [name, fd] : maps_) out.emplace(name, fd.get());
  return out;
}

// Asks the map, since the kernel takes interfaces that vanish out of it.
bool SteerMaps::has_devices() const {
  for (__u32 i = 0; i < PENSTOCK_PORT_MAX; ++i) {
    __u32 ifindex = 0;
    if (bpf_map_lookup_elem(fd("steer_devices"), &i, &ifindex) == 0) return true;
  }
  return false;
}

Status SteerMaps::set_device(std::uint32_t port_index, std::uint32_t ifindex) {
  const int map = fd("steer_devices");
  const int error =
      ifindex != 0 ? bpf_map_update_elem(map, &port_index, &ifindex, BPF_ANY) : bpf_map_delete_elem(map, &port_index);
  if (error != 0 && error != -ENOENT) return system_problem("steer_devices", "cannot write an entry", error);
  return update_device_flag();
}

Status SteerMaps::update_device_flag() {
  penstock_steer_config config{};
  const __u32 zero = 0;
  if (const int failed = bpf_map_lookup_elem(fd("steer_config"), &zero, &config); failed != 0)
    return system_problem("steer_config", "cannot read", failed);
  const __u32 flag = has_devices() ? __u32{PENSTOCK_CONFIG_HAS_DEVICES} : 0u;
  if ((config.flags & PENSTOCK_CONFIG_HAS_DEVICES) == flag) return Done{};
  config.flags ^= __u32{PENSTOCK_CONFIG_HAS_DEVICES};
  if (const int failed = bpf_map_update_elem(fd("steer_config"), &zero, &config, BPF_ANY); failed != 0)
    return system_problem("steer_config", "cannot write", failed);
  return Done{};
}

Status SteerMaps::write_config(const SteerSettings& settings, bool has_sources) {
  const __u32 flags = (has_sources ? __u32{PENSTOCK_CONFIG_HAS_SOURCES} : 0u) |
                      (has_devices() ? __u32{PENSTOCK_CONFIG_HAS_DEVICES} : 0u);
  const penstock_steer_config config{PENSTOCK_ABI_VERSION,
                                     settings.worker_count,
                                     static_cast<__u64>(settings.heartbeat_limit.count()),
                                     static_cast<__u64>(settings.kernel_flow_idle.count()),
                                     flags,
                                     0};
  const __u32 zero = 0;
  if (const int error = bpf_map_update_elem(fd("steer_config"), &zero, &config, BPF_ANY); error != 0)
    return system_problem("steer_config", "cannot write", error);
  return Done{};
}

Status SteerMaps::set_settings(const SteerSettings& settings) {
  if (settings.worker_count > PENSTOCK_WORKER_MAX)
    return Problem{"steer_config", "more than " + std::to_string(PENSTOCK_WORKER_MAX) + " workers", ""};
  penstock_steer_config config{};
  const __u32 zero = 0;
  if (const int error = bpf_map_lookup_elem(fd("steer_config"), &zero, &config); error != 0)
    return system_problem("steer_config", "cannot read", error);
  return write_config(settings, (config.flags & PENSTOCK_CONFIG_HAS_SOURCES) != 0);
}

Result<SteerChange> SteerMaps::apply(const SteerState& wanted) {
  if (wanted.settings.worker_count > PENSTOCK_WORKER_MAX)
    return Problem{"steer_config", "more than " + std::to_string(PENSTOCK_WORKER_MAX) + " workers", ""};
  std::array<TableDiff, 4> tables{
      TableDiff{"steer_services", fd("steer_services"), PENSTOCK_SERVICE_MAX, {}, {}},
      TableDiff{"steer_sources", fd("steer_sources"), PENSTOCK_SERVICE_MAX, {}, {}},
      TableDiff{"steer_addresses", fd("steer_addresses"), PENSTOCK_ADDRESS_MAX, {}, {}},
      TableDiff{"steer_nodes", fd("steer_nodes"), PENSTOCK_NODE_ADDRESS_MAX, {}, {}},
  };
  if (auto done = fill(wanted, tables[0], tables[1], tables[2], tables[3]); !done) return done.error();
  SteerChange change;
  for (TableDiff& table : tables)
    if (auto done = add_to(table, change); !done) return done.error();
  if (auto done = write_config(wanted.settings, !wanted.sources.empty()); !done) return done.error();
  for (const TableDiff& table : tables)
    if (auto done = remove_stale(table, change); !done) return done.error();
  return change;
}

Status SteerMaps::clear_kernel_flows() {
  const int map = fd("steer_kernel_flows");
  // The successor is asked for while its key is there: to find the first key, all emptied buckets are searched again.
  penstock_flow_key key{}, next{};
  int end = bpf_map_get_next_key(map, nullptr, &key);
  for (; end == 0; key = next) {
    end = bpf_map_get_next_key(map, &key, &next);
    bpf_map_delete_elem(map, &key);
    if (end == -ENOENT) end = bpf_map_get_next_key(map, nullptr, &next);
  }
  const penstock_steer_runtime runtime{0};
  const __u32 zero = 0;
  if (const int error = bpf_map_update_elem(fd("steer_runtime"), &zero, &runtime, BPF_ANY); error != 0)
    return system_problem("steer_runtime", "cannot write", error);
  return Done{};
}

Result<std::uint64_t> SteerMaps::last_kernel_flow_ns() const {
  penstock_steer_runtime runtime{};
  const __u32 zero = 0;
  if (const int error = bpf_map_lookup_elem(fd("steer_runtime"), &zero, &runtime); error != 0)
    return system_problem("steer_runtime", "cannot read", error);
  return runtime.last_kernel_flow_ns;
}

}  // namespace penstock::kernel
