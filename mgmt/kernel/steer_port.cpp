#include "mgmt/kernel/steer_port.h"

#include <bpf/bpf.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "mgmt/kernel/netns.h"
#include "mgmt/kernel/preflight.h"
#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

constexpr const char* kLinkPin = "link";

Result<bpf_link_info> link_info(int link) {
  bpf_link_info info{};
  __u32 octets = sizeof info;
  if (const int error = bpf_obj_get_info_by_fd(link, &info, &octets); error != 0)
    return system_problem("bpf link", "cannot read", error);
  return info;
}

std::string program_tag(int program) {
  bpf_prog_info info{};
  __u32 octets = sizeof info;
  if (bpf_obj_get_info_by_fd(program, &info, &octets) != 0) return {};
  return {reinterpret_cast<const char*>(info.tag), sizeof info.tag};
}

// The XDP program on an interface, 0 = none. Called inside the interface's namespace.
std::uint32_t attached_program(std::uint32_t ifindex, bool& generic) {
  LIBBPF_OPTS(bpf_xdp_query_opts, query);
  if (bpf_xdp_query(static_cast<int>(ifindex), 0, &query) != 0) return 0;
  generic = query.attach_mode == XDP_ATTACHED_SKB;
  if (query.prog_id != 0) return query.prog_id;
  return query.drv_prog_id != 0 ? query.drv_prog_id : query.skb_prog_id;
}

// Creates the link; native mode first, generic mode if allowed. Called inside the interface's namespace.
Result<UniqueFd> create_link(int program, const PortSpec& spec, const SteeringOptions& options, bool& generic) {
  bool foreign_generic = false;
  if (const std::uint32_t foreign = attached_program(spec.ifindex, foreign_generic); foreign != 0)
    return Problem{spec.name, "another XDP program is attached (id " + std::to_string(foreign) + ")",
                   "`bpftool prog show id " + std::to_string(foreign) +
                       "` tells whose it is; detach it or choose "
                       "another port"};
  const auto create = [&](__u32 mode) {
    LIBBPF_OPTS(bpf_link_create_opts, link_options, .flags = mode);
    return UniqueFd{bpf_link_create(program, static_cast<int>(spec.ifindex), BPF_XDP, &link_options)};
  };
  if (spec.large_frames) {
    generic = true;
    if (UniqueFd link = create(XDP_FLAGS_SKB_MODE)) return link;
    return system_problem(spec.name, "cannot attach the steering program in generic mode, which large_frames needs",
                          errno, "remove large_frames from the port, or take an interface that has generic XDP");
  }
  UniqueFd link = create(XDP_FLAGS_DRV_MODE);
  generic = false;
  if (link) return link;
  const int native_error = errno;
  if (native_error == ENODEV) return Problem{spec.name, "interface vanished while attaching", ""};
  if (options.allow_generic_mode) {
    link = create(XDP_FLAGS_SKB_MODE);
    generic = true;
    if (link) return link;
    return system_problem(spec.name, "cannot attach the steering program in generic mode", errno);
  }
  return system_problem(spec.name, "the driver refuses the steering program in native mode", native_error,
                        "use a driver with native XDP and an MTU that fits one page (veth: at most about 3500), or "
                        "allow generic mode");
}

// Is a program that is attached already what `spec` wants? Called inside the interface's namespace.
bool fits(const PinnedPort& pinned, const PortSpec& spec, const SteeringOptions& options) {
  const auto config = read_port_config(pinned.path);
  if (!config || spec.large_frames != ((config->flags & PENSTOCK_PORT_LARGE_FRAMES) != 0)) return false;
  bool generic = false;
  attached_program(spec.ifindex, generic);
  return spec.large_frames ? generic : !generic || options.allow_generic_mode;
}

}  // namespace

std::string PortPin::directory_name() const {
  std::string safe;
  for (const char c : name) {
    if (c == '.')
      safe += "%2e";
    else
      safe += c;
  }
  return safe + "@" + std::to_string(ifindex) + "@" + std::to_string(netns_inode);
}

std::optional<PortPin> PortPin::parse(const std::string& directory_name) {
  const std::size_t last = directory_name.rfind('@');
  if (last == std::string::npos || last == 0) return std::nullopt;
  const std::size_t middle = directory_name.rfind('@', last - 1);
  if (middle == std::string::npos) return std::nullopt;
  PortPin out;
  const auto number = [&](std::size_t from, std::size_t to, auto& into) {
    const char* end = directory_name.data() + to;
    const auto read = std::from_chars(directory_name.data() + from, end, into);
    return read.ec == std::errc{} && read.ptr == end;
  };
  if (!number(middle + 1, last, out.ifindex) || !number(last + 1, directory_name.size(), out.netns_inode))
    return std::nullopt;
  out.name = directory_name.substr(0, middle);
  for (std::size_t at = out.name.find("%2e"); at != std::string::npos; at = out.name.find("%2e", at + 1))
    out.name.replace(at, 3, ".");
  return out;
}

std::optional<PinnedPort> read_pinned_port(const std::string& path) {
  const auto pin = PortPin::parse(std::filesystem::path{path}.filename().string());
  if (!pin) return std::nullopt;
  UniqueFd link{bpf_obj_get((path + "/" + kLinkPin).c_str())};
  if (!link) return std::nullopt;
  const auto info = link_info(link.get());
  if (!info || info->type != BPF_LINK_TYPE_XDP) return std::nullopt;
  const bool alive = info->xdp.ifindex != 0;
  return PinnedPort{*pin, path, std::move(link), info->prog_id, alive};
}

Status remove_port_pins(const std::string& path) {
  if (UniqueFd link{bpf_obj_get((path + "/" + kLinkPin).c_str())}; link) {
    // Detaches at once, also when somebody else holds the link open. ENOLINK and the like: already detached.
    bpf_link_detach(link.get());
  }
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return system_problem(path, "cannot remove the pins", error.value());
  return Done{};
}

Result<penstock_port_config> read_port_config(const std::string& path) {
  const UniqueFd fd{bpf_obj_get((path + "/port_config").c_str())};
  penstock_port_config config{};
  const __u32 zero = 0;
  if (!fd || bpf_map_lookup_elem(fd.get(), &zero, &config) != 0)
    return system_problem(path + "/port_config", "cannot read", errno);
  return config;
}

Result<SteerPort> SteerPort::attach(const std::string& ports_dir, const PortSpec& spec, const MapFds& shared,
                                    const SteeringOptions& options) {
  UniqueFd netns{spec.netns_fd >= 0 ? ::fcntl(spec.netns_fd, F_DUPFD_CLOEXEC, 0)
                                    : ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)};
  if (!netns) return system_problem(spec.name, "cannot open its network namespace", errno);
  auto visit = NamespaceVisit::enter(spec.netns_fd);
  if (!visit) return visit.error();
  std::array<char, IF_NAMESIZE> present{};
  if (::if_indextoname(spec.ifindex, present.data()) == nullptr)
    return Problem{spec.name, "there is no interface with index " + std::to_string(spec.ifindex), ""};

  // The name may have changed since the pins were made; index and namespace decide.
  const PortPin pin{spec.name, spec.ifindex, netns_inode(netns.get())};
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator{ports_dir, ignored}) {
    const auto other = PortPin::parse(entry.path().filename().string());
    if (!other || other->ifindex != pin.ifindex || other->netns_inode != pin.netns_inode) continue;
    auto pinned = read_pinned_port(entry.path().string());
    if (pinned && pinned->alive && fits(*pinned, spec, options)) {
      auto adopted = adopt(std::move(*pinned), spec, shared);
      if (adopted) adopted->netns_ = std::move(netns);
      return adopted;
    }
    if (auto done = remove_port_pins(entry.path().string()); !done) return done.error();
    break;
  }
  auto port = attach_new(ports_dir + "/" + pin.directory_name(), spec, shared, options);
  if (!port) return port;
  port->pin_ = pin;
  port->status_.netns_inode = pin.netns_inode;
  port->netns_ = std::move(netns);
  return port;
}

Result<SteerPort> SteerPort::attach_new(const std::string& path, const PortSpec& spec, const MapFds& shared,
                                        const SteeringOptions& options) {
  if (spec.large_frames)
    if (auto possible = check_large_frames(spec.name); !possible) return possible.error();
  auto loaded = load_steer(shared, spec.large_frames);
  if (!loaded) return loaded.error();
  SteerPort port;
  port.path_ = path;
  port.kind_ = spec.large_frames ? __u32{PENSTOCK_PORT_LARGE_FRAMES} : 0u;
  port.status_ = {.name = spec.name, .ifindex = spec.ifindex, .port_index = spec.port_index};
  port.program_ = UniqueFd{::fcntl(kernel::program_fd(*loaded), F_DUPFD_CLOEXEC, 0)};
  for (const char* name : kPortMaps)
    port.maps_.emplace(name, UniqueFd{::fcntl(map_fd(*loaded, name), F_DUPFD_CLOEXEC, 0)});
  if (auto done = port.set_enabled(false); !done) return done.error();
  auto link = create_link(port.program_.get(), spec, options, port.status_.generic);
  if (!link) return link.error();
  port.link_ = std::move(link).value();

  std::error_code error;
  std::filesystem::create_directory(path, error);
  int failed = error.value();
  for (const auto& [name, fd] : port.maps_)
    if (failed == 0) failed = bpf_obj_pin(fd.get(), (path + "/" + name).c_str());
  if (failed == 0) failed = bpf_obj_pin(port.link_.get(), (path + "/" + kLinkPin).c_str());
  if (failed != 0) {
    std::filesystem::remove_all(path, error);
    return system_problem(path, "cannot pin", failed, "the directory must be a bpf file system");
  }
  return port;
}

Result<SteerPort> SteerPort::adopt(PinnedPort pinned, const PortSpec& spec, const MapFds& shared) {
  auto definitions = open_steer();
  if (!definitions) return definitions.error();
  SteerPort port;
  port.path_ = pinned.path;
  port.pin_ = pinned.pin;
  port.kind_ = spec.large_frames ? __u32{PENSTOCK_PORT_LARGE_FRAMES} : 0u;
  port.link_ = std::move(pinned.link);
  MapFds reuse = shared;
  for (const char* name : kPortMaps) {
    const std::string path = pinned.path + "/" + name;
    UniqueFd fd{bpf_obj_get(path.c_str())};
    if (!fd) return system_problem(path, "cannot open the pinned map", errno, "detach the port and attach it again");
    if (auto same = check_layout(*definitions, name, fd.get(), path); !same) return same.error();
    reuse.emplace(name, fd.get());
    port.maps_.emplace(name, std::move(fd));
  }
  auto loaded = load_steer(reuse, spec.large_frames);
  if (!loaded) return loaded.error();
  port.program_ = UniqueFd{bpf_prog_get_fd_by_id(pinned.program_id)};
  const int fresh = kernel::program_fd(*loaded);
  const bool replace = !port.program_ || program_tag(port.program_.get()) != program_tag(fresh);
  if (replace) {
    if (const int error = bpf_link_update(port.link_.get(), fresh, nullptr); error != 0)
      return system_problem(spec.name, "cannot replace the steering program in place", error);
    port.program_ = UniqueFd{::fcntl(fresh, F_DUPFD_CLOEXEC, 0)};
  }
  bool generic = false;
  attached_program(spec.ifindex, generic);
  port.status_ = {.name = spec.name,
                  .ifindex = spec.ifindex,
                  .port_index = spec.port_index,
                  .netns_inode = pinned.pin.netns_inode,
                  .generic = generic,
                  .adopted = true,
                  .replaced = replace};
  auto config = read_port_config(pinned.path);
  if (!config) return config.error();
  if (auto done = port.write_config(config->flags); !done) return done.error();
  return port;
}

int SteerPort::map(std::string_view name) const {
  const auto found = maps_.find(name);
  require(found != maps_.end(), "unknown map name");
  return found->second.get();
}

Status SteerPort::write_config(std::uint32_t flags) {
  const penstock_port_config config{flags, status_.port_index};
  const __u32 zero = 0;
  if (const int error = bpf_map_update_elem(map("port_config"), &zero, &config, BPF_ANY); error != 0)
    return system_problem(status_.name, "cannot write port_config", error);
  return Done{};
}

Status SteerPort::set_enabled(bool enabled) {
  return write_config(kind_ | (enabled ? __u32{PENSTOCK_PORT_ENABLED} : 0u));
}

Status SteerPort::detach() {
  bpf_link_detach(link_.get());
  link_.reset();
  return remove_port_pins(path_);
}

PortStatus SteerPort::status() const {
  PortStatus out = status_;
  penstock_port_config config{};
  const __u32 zero = 0;
  if (bpf_map_lookup_elem(map("port_config"), &zero, &config) == 0)
    out.enabled = (config.flags & PENSTOCK_PORT_ENABLED) != 0;
  const auto info = link_info(link_.get());
  out.alive = info && info->xdp.ifindex != 0;
  return out;
}

Result<SteerCounters> SteerPort::counters() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return system_problem(status_.name, "cannot count CPUs", cpus);
  std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(cpus));
  SteerCounters out{};
  for (__u32 reason = 0; reason < out.size(); ++reason) {
    if (const int error = bpf_map_lookup_elem(map("steer_counters"), &reason, per_cpu.data()); error != 0)
      return system_problem(status_.name, "cannot read steer_counters", error);
    for (const std::uint64_t n : per_cpu) out[reason] += n;
  }
  return out;
}

}  // namespace penstock::kernel
