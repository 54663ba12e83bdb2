#include "dataplane/io/dpdk/runtime.h"

#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_thread.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <bit>
#include <cstdio>
#include <vector>

namespace penstock::io {
namespace {

constexpr std::size_t kMib = std::size_t{1} << 20;
constexpr std::size_t kHugepageOctets = 2 * kMib;
// Buffers that a thread may keep for itself: two bursts in, two out. Larger caches hide buffers from other threads.
constexpr unsigned kPoolCache = 256;
// DPDK's own structures (device data, ring headers); measured 3 MiB with 32 ports.
constexpr std::size_t kOverheadOctets = 16 * kMib;
// A thread preempted inside the pool's ring must not stall the others: relaxed tail sync.
constexpr const char* kPoolOps = "ring_mt_rts";

constexpr unsigned kElementOctets = sizeof(rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE;

std::size_t buffer_octets() { return rte_mempool_calc_obj_size(kElementOctets, RTE_MEMPOOL_F_NO_IOVA_CONTIG, nullptr); }

std::size_t octets_for(std::size_t buffers) {
  return (buffers * buffer_octets() + kOverheadOctets + kHugepageOctets - 1) / kHugepageOctets * kHugepageOctets;
}

std::string hugepage_need(std::size_t octets) {
  return std::to_string(octets / kHugepageOctets) + " free 2 MiB pages are needed";
}

Problem dpdk_problem(const std::string& what, int error) {
  return {"dpdk", what + ": " + rte_strerror(error < 0 ? -error : error), ""};
}

int first_allowed_cpu() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  if (pthread_getaffinity_np(pthread_self(), sizeof cpus, &cpus) != 0) return 0;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &cpus)) return cpu;
  return 0;
}

/// EAL pins the calling thread; the control thread must stay where the operator put it.
Status init_eal(const RuntimeOptions& options, bool hugepages, std::size_t octets) {
  const int cpu = options.main_cpu >= 0 ? options.main_cpu : first_allowed_cpu();
  std::vector<std::string> words{"penstock-dataplane",
                                 "--no-pci",
                                 "--no-telemetry",
                                 "--log-level=4",
                                 "--log-level=*:4",
                                 "--lcores=0@" + std::to_string(cpu),
                                 "--main-lcore=0",
                                 "--file-prefix=psk-",
                                 "-m",
                                 std::to_string(octets / kMib)};
  if (hugepages) {
    words.emplace_back("--in-memory");
  } else {
    // 22.11 refuses --in-memory with --no-huge; --no-shconf keeps it from leaving files behind.
    words.emplace_back("--no-huge");
    words.emplace_back("--no-shconf");
  }
  std::vector<char*> arguments;
  arguments.reserve(words.size());
  for (std::string& word : words) arguments.push_back(word.data());
  cpu_set_t before;
  const bool restore = pthread_getaffinity_np(pthread_self(), sizeof before, &before) == 0;
  rte_openlog_stream(stderr);
  const int parsed = rte_eal_init(static_cast<int>(arguments.size()), arguments.data());
  if (restore) pthread_setaffinity_np(pthread_self(), sizeof before, &before);
  if (parsed < 0) return dpdk_problem("cannot start the environment layer", rte_errno);
  return Done{};
}

Result<rte_mempool*> make_pool(std::size_t buffers) {
  // NO_IOVA_CONTIG packs buffers densely over page boundaries: 2368 octets each instead of one page, and one
  // contiguous area, which is what the driver registers as umem.
  rte_mempool* pool =
      rte_mempool_create_empty("penstock_frames", static_cast<unsigned>(buffers), kElementOctets, kPoolCache,
                               sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (pool == nullptr) return dpdk_problem("cannot create the buffer pool", rte_errno);
  if (const int e = rte_mempool_set_ops_byname(pool, kPoolOps, nullptr); e != 0) {
    rte_mempool_free(pool);
    return dpdk_problem("no mempool driver ring_mt_rts", e);
  }
  rte_pktmbuf_pool_init(pool, nullptr);
  const int populated = rte_mempool_populate_default(pool);
  if (populated < 0) {
    rte_mempool_free(pool);
    return dpdk_problem("no memory for " + std::to_string(buffers) + " buffers", populated);
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  if (pool->nb_mem_chunks != 1) {
    rte_mempool_free(pool);
    return Problem{"dpdk", "buffer pool is not one contiguous area", "use 2 MiB hugepages or hugepages: off"};
  }
  return pool;
}

}  // namespace

bool hugepages_available(std::size_t octets) {
  const std::size_t whole = (octets + kHugepageOctets - 1) / kHugepageOctets * kHugepageOctets;
  // MAP_NORESERVE is not given: the kernel refuses when not enough pages are free.
  void* trial = ::mmap(nullptr, whole, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | (21 << MAP_HUGE_SHIFT), -1, 0);
  if (trial == MAP_FAILED) return false;
  ::munmap(trial, whole);
  return true;
}

Problems DpdkRuntime::check(const RuntimeOptions& options) {
  Problems problems;
  if (options.buffers < kBuffersMin)
    problems.push_back({"buffers", std::to_string(options.buffers) + " are too few for two queues",
                        "at least " + std::to_string(kBuffersMin)});
  if (!std::has_single_bit(options.receive_ring) || options.receive_ring < kQueueBuffers ||
      options.receive_ring > kReceiveRingMax)
    problems.push_back(
        {"receive ring", std::to_string(options.receive_ring) + " frames are not possible",
         "a power of two from " + std::to_string(kQueueBuffers) + " to " + std::to_string(kReceiveRingMax)});
  const std::size_t octets = octets_for(options.buffers);
  if (octets > options.memory_mib * kMib)
    problems.push_back({"memory",
                        std::to_string(options.buffers) + " buffers need " + std::to_string(octets / kMib) + " MiB, " +
                            std::to_string(options.memory_mib) + " are allowed",
                        "raise memory_mib or lower limits.buffers_per_worker"});
  if (options.hugepages == Hugepages::required && !hugepages_available(octets))
    problems.push_back(
        {"hugepages", hugepage_need(octets), "write a larger number to /proc/sys/vm/nr_hugepages, or hugepages: auto"});
  return problems;
}

Result<std::unique_ptr<DpdkRuntime>> DpdkRuntime::start(const RuntimeOptions& options) {
  if (const Problems problems = check(options); !problems.empty()) return problems.front();
  const std::size_t octets = octets_for(options.buffers);
  std::unique_ptr<DpdkRuntime> runtime{new DpdkRuntime};
  runtime->hugepages_ = options.hugepages != Hugepages::off && hugepages_available(octets);
  if (!runtime->hugepages_ && options.hugepages == Hugepages::automatic)
    runtime->warning_ = "no hugepages: " + hugepage_need(octets) + " (vm.nr_hugepages); using normal pages";
  if (auto init = init_eal(options, runtime->hugepages_, octets); !init) return init.error();
  auto pool = make_pool(options.buffers);
  if (!pool) return pool.error();
  runtime->pool_ = *pool;
  runtime->receive_ring_ = options.receive_ring;
  return runtime;
}

DpdkRuntime::~DpdkRuntime() {
  rte_mempool_free(pool_);
  rte_eal_cleanup();
}

std::size_t DpdkRuntime::ring_for(std::size_t queues) const {
  std::size_t ring = receive_ring_;
  while (ring > kQueueBuffers && free_buffers() < queues * ring + pool_->size / 2) ring /= 2;
  return ring;
}

std::size_t DpdkRuntime::free_buffers() const { return rte_mempool_avail_count(pool_); }

DpdkThread::DpdkThread() {
  require(rte_thread_register() == 0, "DPDK has no room for another thread");
  // By default the kernel lets a thread sleep 50 us longer than asked for.
  constexpr unsigned long kSlackNs = 1000;
  ::prctl(PR_SET_TIMERSLACK, kSlackNs, 0, 0, 0);
}
DpdkThread::~DpdkThread() { rte_thread_unregister(); }

}  // namespace penstock::io
