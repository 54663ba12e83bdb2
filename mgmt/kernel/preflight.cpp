#include "mgmt/kernel/preflight.h"

#include <bpf/bpf.h>
#include <linux/capability.h>
#include <linux/if_xdp.h>
#include <nftables/libnftables.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <sstream>
#include <utility>

#include "mgmt/kernel/bpffs.h"
#include "mgmt/kernel/steer_loader.h"
#include "mgmt/kernel/sysctl.h"
#include "mgmt/kernel/system_problem.h"
#include "mgmt/kernel/unique_fd.h"

namespace penstock::kernel {
namespace {

constexpr int kKernelMajor = 5;
constexpr int kKernelMinor = 18;  // live frames of BPF_PROG_RUN (5.18), bpf_link for XDP (5.9)

PreflightCheck good(std::string_view name, std::string detail) {
  return {.name = name, .ok = true, .required = true, .detail = std::move(detail), .problem = {}};
}
PreflightCheck bad(std::string_view name, Problem problem, bool required = true) {
  return {.name = name, .ok = false, .required = required, .detail = problem.what, .problem = std::move(problem)};
}

/// "Linux 6.9.1", and whether that is `major`.`minor` or newer.
std::pair<std::string, bool> this_kernel(int major, int minor) {
  utsname name{};
  ::uname(&name);
  int is_major = 0;
  int is_minor = 0;
  std::sscanf(name.release, "%d.%d", &is_major, &is_minor);
  return {std::string{"Linux "} + name.release, std::pair{is_major, is_minor} >= std::pair{major, minor}};
}

PreflightCheck check_kernel() {
  const auto [name, new_enough] = this_kernel(kKernelMajor, kKernelMinor);
  if (new_enough) return good("kernel", name);
  return bad("kernel", {"kernel", name + " is too old", "run Linux 5.18 or newer"});
}

bool has_capability(int number) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (::syscall(SYS_capget, &header, data) != 0) return false;
  return (data[static_cast<std::size_t>(number) / 32].effective >> (number % 32) & 1u) != 0;
}

PreflightCheck check_capabilities() {
  struct Row {
    int number;
    const char* name;
  };
  std::string missing;
  for (const Row row : {Row{CAP_BPF, "CAP_BPF"}, Row{CAP_NET_ADMIN, "CAP_NET_ADMIN"}, Row{CAP_NET_RAW, "CAP_NET_RAW"},
                        Row{CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}}) {
    if (!has_capability(row.number)) missing += (missing.empty() ? "" : ", ") + std::string{row.name};
  }
  if (missing.empty()) return good("capabilities", "BPF, NET_ADMIN, NET_RAW, SYS_ADMIN");
  return bad("capabilities", {"capabilities", "missing: " + missing, "start penstockd as root or grant them"});
}

PreflightCheck check_memlock() {
  // Since 5.11 maps are charged to the memory cgroup; AF_XDP umems still count against the limit, unless
  // CAP_IPC_LOCK lifts it.
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY) return good("memlock", "unlimited");
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (::setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0) return good("memlock", "raised to unlimited");
  if (has_capability(CAP_IPC_LOCK)) return good("memlock", "CAP_IPC_LOCK lifts the limit");
  return bad("memlock",
             {"memlock", "limited to " + std::to_string(limit.rlim_cur / 1024) + " KiB",
              "grant CAP_SYS_RESOURCE, or set LimitMEMLOCK=infinity"},
             false);
}

PreflightCheck check_bpf() {
  const UniqueFd map{bpf_map_create(BPF_MAP_TYPE_ARRAY, "penstock_check", 4, 8, 1, nullptr)};
  if (map) return good("bpf", "maps can be created");
  return bad("bpf", system_problem("bpf", "cannot create a map", errno,
                                   "needs CAP_BPF and a kernel with CONFIG_BPF_SYSCALL; lockdown may forbid it"));
}

PreflightCheck check_btf() {
  if (::access("/sys/kernel/btf/vmlinux", R_OK) == 0) return good("btf", "/sys/kernel/btf/vmlinux");
  return bad("btf", {"btf", "the kernel has no type information", "steering works without; bpftool shows less"}, false);
}

PreflightCheck check_bpffs(const PreflightOptions& options) {
  if (is_bpffs(options.runtime_dir + "/bpf")) return good("bpffs", options.runtime_dir + "/bpf");
  // The nearest directory that exists decides: mounting is tried in a directory of its own.
  const std::string trial =
      (std::filesystem::temp_directory_path() / ("penstock-check-" + std::to_string(::getpid()))).string();
  const auto mounted = mount_bpffs(trial);
  if (auto gone = unmount_bpffs(trial); !mounted) return bad("bpffs", mounted.error());
  return good("bpffs", "can be mounted");
}

PreflightCheck check_xdp() {
  if (auto loaded = load_steer({}); !loaded) return bad("xdp", loaded.error());
  return good("xdp", "the steering program passes the verifier");
}

PreflightCheck check_af_xdp() {
  const UniqueFd socket{::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)};
  if (socket) return good("af_xdp", "sockets can be created");
  return bad("af_xdp", system_problem("af_xdp", "cannot create a socket", errno,
                                      "needs CAP_NET_RAW and a kernel with CONFIG_XDP_SOCKETS"));
}

// Everything that the fallback table uses, checked by the kernel and thrown away.
PreflightCheck check_nftables() {
  const std::string table = "penstock-check-" + std::to_string(::getpid());
  const std::string rules =
      "table inet " + table +
      " { chain c { meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 192.0.2.1 . 1, 1 : "
      "192.0.2.2 . 2 }\n }\n chain d { type nat hook postrouting priority 100; meta l4proto tcp ct "
      "status dnat masquerade to :30000-65535\n }\n}\ndelete table inet " +
      table + "\n";
  nft_ctx* context = nft_ctx_new(NFT_CTX_DEFAULT);
  if (context == nullptr) return bad("nftables", {"nftables", "libnftables cannot start", ""});
  nft_ctx_buffer_error(context);
  const bool done = nft_run_cmd_from_buffer(context, rules.c_str()) == 0;
  const std::string words = done ? "" : nft_ctx_get_error_buffer(context);
  nft_ctx_free(context);
  if (done) return good("nftables", "nat, numgen and conntrack are there");
  return bad("nftables", {"nftables", "the kernel refuses the rules of the fallback table: " + words,
                          "load nf_tables, nft_nat, nft_masq, nft_numgen and nf_conntrack, or set fallback: false"});
}

}  // namespace

PreflightCheck check_source_ports(const PreflightOptions& options) {
  const std::string range = std::to_string(options.source_port_low) + "-" + std::to_string(options.source_port_high);
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  std::istringstream{read_sysctl("net/ipv4/ip_local_port_range").value_or("")} >> low >> high;
  const std::string local = std::to_string(low) + "-" + std::to_string(high);
  const PortSet reserved = PortSet::parse(read_sysctl("net/ipv4/ip_local_reserved_ports").value_or(""));
  bool shared = false;
  for (std::uint32_t port = std::max<std::uint32_t>(low, options.source_port_low);
       port <= std::min<std::uint32_t>(high, options.source_port_high); ++port)
    shared = shared || !reserved.contains(static_cast<std::uint16_t>(port));
  if (!shared) return good("source_ports", range + " are no ephemeral ports of the kernel (" + local + ")");
  if (options.fallback)
    return good("source_ports", range + " get reserved among the kernel's ephemeral ports " + local);
  return bad("source_ports",
             {"source_ports",
              range + " overlap the kernel's ephemeral ports " + local +
                  ": replies to the node's own connections from such a port go to the fast path",
              "sysctl -w net.ipv4.ip_local_reserved_ports=" + range + ", or set fallback: true"},
             false);
}

std::vector<PreflightCheck> preflight(const PreflightOptions& options) {
  std::vector<PreflightCheck> out{check_kernel(), check_capabilities(), check_memlock(),
                                  check_bpf(),    check_btf(),          check_bpffs(options),
                                  check_xdp(),    check_af_xdp(),       check_source_ports(options)};
  if (options.fallback) out.push_back(check_nftables());
  return out;
}

Status check_large_frames(const std::string& place) {
  const std::string remedy = "remove large_frames from the port, or run Linux 6.9 or newer";
  // 6.6 to 6.8 take the socket, but copy each large frame into one piece of memory first, and lose it if there is none.
  const auto [name, new_enough] = this_kernel(6, 9);
  if (!new_enough) return Problem{place, name + " has no large frames in generic XDP mode", remedy};
  // The flags are looked at before the interface, which is none.
  constexpr __u16 kUseSeveralBuffers = 1 << 4;  // XDP_USE_SG; Debian's kernel header is older
  const UniqueFd socket{::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)};
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_flags = XDP_COPY | kUseSeveralBuffers;
  address.sxdp_ifindex = INT32_MAX;
  if (!socket || ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno != EINVAL)
    return Done{};
  return Problem{place, name + " refuses AF_XDP sockets for frames of several buffers", remedy};
}

Problems required_problems(const std::vector<PreflightCheck>& checks) {
  Problems out;
  for (const PreflightCheck& check : checks)
    if (!check.ok && check.required) out.push_back(check.problem);
  return out;
}

}  // namespace penstock::kernel
