#include "tests/bpf/steer_bed.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <sys/socket.h>

#include <cstring>
#include <ctime>

#include "mgmt/kernel/system_problem.h"

namespace penstock::test {
namespace {

constexpr __u32 kZero = 0;

std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(now.tv_nsec);
}

penstock_addr address(const char* text) {
  penstock_addr out{};
  std::memcpy(out.octets, ip(text).octets.data(), sizeof out.octets);
  return out;
}

penstock_steer_key key(const char* text, std::uint16_t host_port, IpProto proto) {
  return {address(text), {port(host_port).wire()}, static_cast<__u8>(proto), 0};
}

template <typename Key, typename Value>
void put(int map, const Key& key, const Value& value) {
  require(bpf_map_update_elem(map, &key, &value, BPF_ANY) == 0, "map update");
}

}  // namespace

Result<SteerBed> SteerBed::create(bool large_frames) {
  SteerBed bed;
  auto loaded = kernel::load_steer({}, large_frames);
  if (!loaded) return loaded.error();
  bed.object_ = std::move(loaded).value();
  bed.socket_ = kernel::UniqueFd{::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)};
  if (!bed.socket_) return kernel::system_problem("AF_XDP", "cannot create a socket", errno);
  bed.configure();
  return bed;
}

void SteerBed::configure() {
  const auto service = [&](const char* text, std::uint16_t host_port, IpProto proto, const char* table,
                           __u32 flags = 0) {
    put(map(table), key(text, host_port, proto), penstock_steer_value{0, flags});
  };
  for (const char* vip : {kVip4, kVip6}) {
    service(vip, kServicePort, IpProto::tcp, "steer_services", PENSTOCK_SERVICE_DNAT);
    service(vip, kDnsPort, IpProto::udp, "steer_services", PENSTOCK_SERVICE_DNAT);
    put(map("steer_addresses"), address(vip),
        penstock_address_value{__u32{PENSTOCK_ADDRESS_NEIGHBOR} | __u32{PENSTOCK_ADDRESS_ECHO}, 0});
  }
  for (const char* endpoint : {kEndpoint4, kEndpoint6}) {
    service(endpoint, kEndpointPort, IpProto::tcp, "steer_sources");
    service(endpoint, kDnsPort, IpProto::udp, "steer_sources");
  }
  for (const char* node : {kNode4, kNode6})
    put(map("steer_nodes"), address(node), penstock_port_range{kRangeLow, kRangeHigh, 0});
  set_config({PENSTOCK_ABI_VERSION, 1, 10'000'000'000u, 3600'000'000'000u, PENSTOCK_CONFIG_HAS_SOURCES, 0});
  set_enabled(true);
  beat(0, 0);
  bind_queue(0);
  record_dnat_flows();
}

SteerOutcome SteerBed::run(const Bytes& frame, std::uint32_t queue) {
  const auto read = [&] {
    std::vector<std::uint64_t> out(PENSTOCK_STEER_REASON_COUNT);
    std::vector<std::uint64_t> per_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    for (__u32 i = 0; i < out.size(); ++i) {
      require(bpf_map_lookup_elem(map("steer_counters"), &i, per_cpu.data()) == 0, "counters");
      for (const std::uint64_t n : per_cpu) out[i] += n;
    }
    return out;
  };
  const auto before = read();
  xdp_md context{};
  context.data_end = static_cast<__u32>(frame.size());
  context.rx_queue_index = queue;
  context.ingress_ifindex = ifindex_;
  output_.assign(frame.size(), std::byte{0});
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_out = output_.data(),
              .data_size_in = static_cast<__u32>(frame.size()), .data_size_out = static_cast<__u32>(output_.size()),
              .ctx_in = &context, .ctx_size_in = sizeof context, .repeat = 1);
  const int error = bpf_prog_test_run_opts(kernel::program_fd(object_), &options);
  require(error == 0, "test run");
  const auto after = read();
  SteerOutcome out{.action = options.retval, .reason = std::nullopt, .counted = 0};
  for (__u32 i = 0; i < after.size(); ++i) {
    if (after[i] == before[i]) continue;
    out.reason = out.counted == 0 ? std::optional<__u32>{i} : std::nullopt;
    out.counted += after[i] - before[i];
  }
  return out;
}

std::uint32_t SteerBed::nanoseconds(const Bytes& frame, std::uint32_t repeat) {
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_size_in = static_cast<__u32>(frame.size()),
              .repeat = static_cast<int>(repeat));
  require(bpf_prog_test_run_opts(kernel::program_fd(object_), &options) == 0, "test run");
  return options.duration;
}

void SteerBed::set_config(const penstock_steer_config& config) { put(map("steer_config"), kZero, config); }

penstock_steer_config SteerBed::config() const {
  penstock_steer_config out{};
  require(bpf_map_lookup_elem(map("steer_config"), &kZero, &out) == 0, "config");
  return out;
}

void SteerBed::set_enabled(bool enabled) {
  put(map("port_config"), kZero, penstock_port_config{enabled ? __u32{PENSTOCK_PORT_ENABLED} : 0u, 0});
}

void SteerBed::beat(std::uint32_t worker, std::int64_t ago_ns) {
  penstock_heartbeat value{};
  value.beat_ns = now_ns() - static_cast<std::uint64_t>(ago_ns);
  put(map("steer_heartbeat"), worker, value);
}

void SteerBed::never_beat(std::uint32_t worker) { put(map("steer_heartbeat"), worker, penstock_heartbeat{}); }

void SteerBed::unbind_queue(std::uint32_t queue) { bpf_map_delete_elem(map("xsks_map"), &queue); }

void SteerBed::bind_queue(std::uint32_t queue) { put(map("xsks_map"), queue, socket_.get()); }

void SteerBed::age_kernel_flows(std::uint64_t ns) {
  penstock_flow_key key{};
  std::vector<penstock_flow_key> keys;
  const void* previous = nullptr;
  while (bpf_map_get_next_key(map("steer_kernel_flows"), previous, &key) == 0) {
    keys.push_back(key);
    previous = &keys.back();
  }
  for (const penstock_flow_key& each : keys) {
    penstock_kernel_flow flow{};
    require(bpf_map_lookup_elem(map("steer_kernel_flows"), &each, &flow) == 0, "flow");
    flow.last_seen_ns -= ns;
    put(map("steer_kernel_flows"), each, flow);
  }
}

void SteerBed::age_newest_kernel_flow(std::uint64_t ns) {
  penstock_steer_runtime runtime{};
  require(bpf_map_lookup_elem(map("steer_runtime"), &kZero, &runtime) == 0, "runtime");
  runtime.last_kernel_flow_ns -= ns;
  put(map("steer_runtime"), kZero, runtime);
}

void SteerBed::clear_kernel_flows() {
  penstock_flow_key key{};
  while (bpf_map_get_next_key(map("steer_kernel_flows"), nullptr, &key) == 0)
    bpf_map_delete_elem(map("steer_kernel_flows"), &key);
}

void SteerBed::record_dnat_flows(std::uint64_t ago_ns) {
  for (const char* client : {kClient4, kClient6})
    put(map("steer_dnat_flows"), key(client, 40000, IpProto::tcp), penstock_dnat_flow{now_ns() - ago_ns});
}

void SteerBed::clear_dnat_flows() {
  penstock_steer_key key{};
  while (bpf_map_get_next_key(map("steer_dnat_flows"), nullptr, &key) == 0)
    bpf_map_delete_elem(map("steer_dnat_flows"), &key);
}

void SteerBed::forward(const penstock_flow_key& flow, std::uint32_t index, penstock_forward_slot slot) {
  if (slot.generation == 0) slot.generation = 1;
  set_slot(index, slot);
  set_entry(flow, {index, slot.generation});
}

void SteerBed::set_entry(const penstock_flow_key& flow, const penstock_forward& entry) {
  put(map("steer_forwards"), flow, entry);
}

penstock_forward_slot SteerBed::slot(std::uint32_t index) const {
  penstock_forward_slot out{};
  require(bpf_map_lookup_elem(map("steer_forward_slots"), &index, &out) == 0, "slot");
  return out;
}

void SteerBed::set_slot(std::uint32_t index, const penstock_forward_slot& slot) {
  put(map("steer_forward_slots"), index, slot);
}

void SteerBed::set_device(std::uint32_t port_index, bool present) {
  const __u32 loopback = 1;  // is in every namespace; a test run does not carry the redirect out
  if (present)
    put(map("steer_devices"), port_index, loopback);
  else
    bpf_map_delete_elem(map("steer_devices"), &port_index);
  auto changed = config();
  changed.flags |= __u32{PENSTOCK_CONFIG_HAS_DEVICES};
  set_config(changed);
}

std::size_t SteerBed::kernel_flows() const { return entries("steer_kernel_flows", sizeof(penstock_flow_key)); }

std::size_t SteerBed::dnat_flows() const { return entries("steer_dnat_flows", sizeof(penstock_steer_key)); }

std::size_t SteerBed::entries(const char* name, std::size_t key_octets) const {
  std::string key(key_octets, '\0');
  std::string last;
  std::size_t count = 0;
  while (bpf_map_get_next_key(map(name), count == 0 ? nullptr : last.data(), key.data()) == 0) {
    ++count;
    last = key;
  }
  return count;
}

}  // namespace penstock::test
