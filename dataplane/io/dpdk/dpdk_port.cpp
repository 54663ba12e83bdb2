#include "dataplane/io/dpdk/dpdk_port.h"

#include <bpf/bpf.h>
#include <linux/if_xdp.h>
#include <linux/membarrier.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <optional>

#include "bpf/abi/steer.h"
#include "dataplane/io/dpdk/netns_scope.h"
#include "dataplane/io/dpdk/train_socket.h"
#include "dataplane/io/dpdk/xdp_map.h"
#include "dataplane/io/dpdk/xsk_hooks.h"

namespace penstock::io {
namespace {

constexpr std::uint16_t kTransmitRing = 2048;  // as many as the driver's completion ring takes back
// Sent frames come back when the receiver's kernel has taken them, normally within a softirq.
constexpr int kCompletionTries = 50;
constexpr unsigned kCompletionWaitUs = 2000;

rte_mbuf* mbuf_of(const QueueCapture& queue, std::uint64_t address, const rte_mempool* pool) {
  const std::uint64_t base = xsk_umem__extract_addr(address);
  return reinterpret_cast<rte_mbuf*>(static_cast<std::byte*>(queue.area) + base + pool->header_size);
}

template <typename Ring>
std::uint32_t waiting(const Ring& ring, std::uint32_t& first) {
  first = __atomic_load_n(ring.consumer, __ATOMIC_ACQUIRE);
  const std::uint32_t count = __atomic_load_n(ring.producer, __ATOMIC_ACQUIRE) - first;
  return count <= ring.size ? count : 0;
}

/// Frames that the kernel took for sending and has not given back.
std::uint32_t under_way(const QueueCapture& queue) {
  return __atomic_load_n(queue.tx->consumer, __ATOMIC_ACQUIRE) -
         __atomic_load_n(queue.completion->producer, __ATOMIC_ACQUIRE);
}

/// The driver fills its rings with kQueueBuffers whatever their size; `more` buffers let a longer one hold more.
bool fill_more(const QueueCapture& queue, rte_mempool* pool, std::size_t more) {
  const auto count = static_cast<std::uint32_t>(more);
  std::vector<rte_mbuf*> buffers(more);
  if (rte_pktmbuf_alloc_bulk(pool, buffers.data(), count) != 0) return false;
  std::uint32_t at = 0;
  if (xsk_ring_prod__reserve(queue.fill, count, &at) != count) {
    rte_pktmbuf_free_bulk(buffers.data(), count);
    return false;
  }
  for (rte_mbuf* const buffer : buffers)
    *xsk_ring_prod__fill_addr(queue.fill, at++) = static_cast<std::uint64_t>(
        reinterpret_cast<std::byte*>(buffer) - static_cast<std::byte*>(queue.area) - pool->header_size);
  xsk_ring_prod__submit(queue.fill, count);
  return true;
}

/// Gives back what stands in the four rings; the driver would lose it. The kernel no longer receives into them.
void reclaim_buffers(const QueueCapture& queue, const rte_mempool* pool) {
  for (int i = 0; under_way(queue) != 0 && i < kCompletionTries; ++i) ::usleep(kCompletionWaitUs);
  std::uint32_t at;
  std::uint32_t count = waiting(*queue.fill, at);
  for (std::uint32_t i = 0; i < count; ++i)
    rte_pktmbuf_free(mbuf_of(queue, *xsk_ring_prod__fill_addr(queue.fill, at + i), pool));
  count = waiting(*queue.completion, at);
  for (std::uint32_t i = 0; i < count; ++i)
    rte_pktmbuf_free(mbuf_of(queue, *xsk_ring_cons__comp_addr(queue.completion, at + i), pool));
  count = waiting(*queue.rx, at);
  for (std::uint32_t i = 0; i < count; ++i)
    rte_pktmbuf_free(mbuf_of(queue, xsk_ring_cons__rx_desc(queue.rx, at + i)->addr, pool));
  count = waiting(*queue.tx, at);
  for (std::uint32_t i = 0; i < count; ++i)
    rte_pktmbuf_free(mbuf_of(queue, xsk_ring_prod__tx_desc(queue.tx, at + i)->addr, pool));
}

}  // namespace

struct DpdkPort::Device {
  std::string name;
  std::uint16_t id{};
  bool attached{};
  QueueCapture capture;
  std::optional<LargeReceiver> large;
};

DpdkPort::DpdkPort(DpdkRuntime& runtime, PortOptions options) : runtime_{runtime}, options_{std::move(options)} {}

DpdkPort::~DpdkPort() { close(); }

Result<std::unique_ptr<DpdkPort>> DpdkPort::add(DpdkRuntime& runtime, PortOptions options) {
  if (options.mtu > kPortMtuMax)
    return Problem{options.name, "MTU " + std::to_string(options.mtu) + " does not fit a buffer",
                   "set it to " + std::to_string(kPortMtuMax) + " or less"};
  if (options.queues == 0) return Problem{options.name, "needs at least one queue", ""};
  const std::size_t ring = runtime.ring_for(options.queues);
  const std::size_t held = options.queues * ring;
  if (runtime.free_buffers() < held + kReserveBuffers)
    return Problem{options.name,
                   std::to_string(options.queues) + " queues hold " + std::to_string(held) + " buffers, " +
                       std::to_string(runtime.free_buffers()) + " are free",
                   "raise limits.buffers_per_worker"};
  std::unique_ptr<DpdkPort> port{new DpdkPort{runtime, std::move(options)}};
  port->ring_ = ring;
  if (auto opened = port->open(); !opened) return opened.error();
  return port;
}

Status DpdkPort::open() {
  const NetnsScope scope{options_.netns.get()};
  if (!scope.ok()) return Problem{options_.name, "cannot enter its network namespace", "it needs CAP_SYS_ADMIN"};
  auto map = find_xsks_map(options_.name, options_.ifindex);
  if (!map) return map.error();
  if (map->entries < options_.queues)
    return Problem{options_.name, "xsks_map has room for " + std::to_string(map->entries) + " queues only", ""};
  map_ = std::move(map->fd);
  for (unsigned queue = 0; queue < options_.queues; ++queue)
    if (auto opened = open_queue(queue); !opened) return opened.error();
  train_socket_ = open_train_socket(options_.ifindex);
  return Done{};
}

Status DpdkPort::open_queue(unsigned queue) {
  const std::string place = options_.name + " queue " + std::to_string(queue);
  if (rte_eth_dev_count_avail() >= kDeviceMax)
    return Problem{place, "DPDK holds 32 devices already", "use fewer ports or queues"};
  if (auto free = probe_queue(options_.name, options_.ifindex, queue, options_.large_frames); !free)
    return free.error();
  Device& device = *devices_.emplace_back(std::make_unique<Device>());
  // One device per queue: the driver refuses more queues than ethtool's combined count, which veth has none of.
  device.name = "net_af_xdp" + std::to_string(options_.index * PENSTOCK_QUEUE_MAX + queue);
  // busy_budget=0: the driver would else make a system call on every empty poll. force_copy: with a zero-copy
  // driver an empty poll may sleep up to a second when the fill ring runs dry.
  const std::string arguments =
      "iface=" + options_.name + ",start_queue=" + std::to_string(queue) + ",queue_count=1,busy_budget=0,force_copy=1";
  device.capture.fill_size = static_cast<std::uint32_t>(2 * ring_);
  device.capture.transmit_size = kTransmitRing;
  device.capture.large_frames = options_.large_frames;
  const CaptureScope scope{device.capture};
  if (const int e = rte_eal_hotplug_add("vdev", device.name.c_str(), arguments.c_str()); e != 0)
    return Problem{place, "DPDK cannot add the device: " + std::string{rte_strerror(-e)}, ""};
  device.attached = true;
  const rte_eth_conf config{};
  int e = rte_eth_dev_get_port_by_name(device.name.c_str(), &device.id);
  if (e == 0) e = rte_eth_dev_configure(device.id, 1, 1, &config);
  if (e == 0) e = rte_eth_rx_queue_setup(device.id, 0, static_cast<std::uint16_t>(ring_), 0, nullptr, runtime_.pool());
  if (e == 0) e = rte_eth_tx_queue_setup(device.id, 0, kTransmitRing, 0, nullptr);
  if (e == 0) e = rte_eth_dev_start(device.id);
  if (e != 0) {
    const int cause = device.capture.error != 0 ? device.capture.error : -e;
    return Problem{place, "cannot be opened: " + std::string{std::strerror(cause)}, ""};
  }
  if (device.capture.socket == nullptr || device.capture.umem == nullptr)
    return Problem{place, "the AF_XDP driver was not linked with our hooks", ""};
  if (ring_ > kQueueBuffers && !fill_more(device.capture, runtime_.pool(), ring_ - kQueueBuffers))
    return Problem{place, "no buffers for a receive ring of " + std::to_string(ring_), "lower limits.receive_ring"};
  const int fd = xsk_socket__fd(device.capture.socket);
  if (bpf_map_update_elem(map_.get(), &queue, &fd, BPF_ANY) != 0)
    return Problem{place, "cannot enter the socket into xsks_map: " + std::string{std::strerror(errno)}, ""};
  if (options_.large_frames) device.large.emplace(device.capture, runtime_.pool(), options_.verify_checksums);
  queues_.push_back({device.id, fd, device.large ? &*device.large : nullptr});
  return Done{};
}

void DpdkPort::close() {
  const NetnsScope scope{options_.netns.get()};
  for (unsigned queue = 0; queue < queues_.size(); ++queue) bpf_map_delete_elem(map_.get(), &queue);
  // An RCU grace period: afterwards no softirq holds one of the sockets that the map had.
  if (!queues_.empty() && ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0) != 0) ::usleep(20'000);
  for (const auto& device : devices_) {
    device->large.reset();
    if (device->capture.socket != nullptr) reclaim_buffers(device->capture, runtime_.pool());
    if (device->attached) {
      const CaptureScope capture{device->capture};
      rte_eth_dev_stop(device->id);
      rte_eal_hotplug_remove("vdev", device->name.c_str());
    }
    release_umem(device->capture);
  }
  devices_.clear();
  queues_.clear();
}

PortStats DpdkPort::stats() const {
  PortStats sum;
  for (const Queue& queue : queues_) {
    xdp_statistics one{};
    socklen_t length = sizeof one;
    if (::getsockopt(queue.fd, SOL_XDP, XDP_STATISTICS, &one, &length) != 0) continue;
    sum.rx_dropped += one.rx_dropped;
    sum.rx_ring_full += one.rx_ring_full;
    sum.rx_fill_empty += one.rx_fill_ring_empty_descs;
    sum.rx_invalid += one.rx_invalid_descs;
    sum.tx_invalid += one.tx_invalid_descs;
    if (queue.large != nullptr) sum.rx_dropped += queue.large->dropped();
  }
  return sum;
}

}  // namespace penstock::io
