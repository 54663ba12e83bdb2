#include "dataplane/app/worker_pool.h"

#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "dataplane/control/connection_layout.h"
#include "dataplane/io/dpdk/runtime.h"

namespace penstock::app {
namespace {

std::array<std::uint64_t, 2> random_seed() {
  std::array<std::uint64_t, 2> seed{};
  require(::getrandom(seed.data(), sizeof seed, 0) == sizeof seed, "no random numbers");
  return seed;
}

}  // namespace

WorkerPool::EventDoorbell::EventDoorbell() : event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  require(static_cast<bool>(event_), "no eventfd for a doorbell");
}

void WorkerPool::EventDoorbell::ring() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t octets = ::write(event_.get(), &one, sizeof one);
}

Result<std::unique_ptr<WorkerPool>> WorkerPool::create(const Options& options, const control::SegmentView& segment,
                                                       worker::ViewExchange& views, bool hugepages) {
  std::unique_ptr<WorkerPool> pool{new WorkerPool};  // check_layers: allow(banned) private constructor
  pool->cpus_ = options.cpus;
  std::vector<io::PacketIo*> ios;
  for (unsigned i = 0; i < options.workers; ++i) {
    Part& part = *pool->parts_.emplace_back(std::make_unique<Part>(worker::forward_share(i, options.workers)));
    auto arena = SharedMemory::create("penstock-flows-" + std::to_string(i), control::flow_arena_octets(options.flows),
                                      hugepages);
    if (!arena) return arena.error();
    part.arena = std::move(*arena);
    // Written a few times per connection and second, so hugepages would win nothing.
    auto connections = SharedMemory::create("penstock-connections-" + std::to_string(i),
                                            control::connection_arena_octets(options.proxy_connections), false);
    if (!connections) return connections.error();
    part.connection_arena = std::move(*connections);
    control::format_connection_arena(part.connection_arena.bytes(), i, options.workers, segment.boot_epoch());
    ios.push_back(&part.io);
  }
  if (options.workers > 1) pool->handoff_ = std::make_unique<worker::HandoffMesh>(std::move(ios));
  worker::WorkerConfig config;
  config.worker_count = static_cast<std::uint16_t>(options.workers);
  config.boot_epoch = segment.boot_epoch();
  config.seed = random_seed();
  // At most half of a worker's buffers hold payload, and three quarters of what two ports' rings leave: the others
  // feed its queues.
  const std::size_t rest = options.buffers - std::min(options.buffers, 2 * options.receive_ring);
  config.lent_max =
      static_cast<std::uint32_t>(std::min(options.buffers / 2, std::max(options.buffers / 4, rest / 4 * 3)));
  config.receive_ring = static_cast<std::uint32_t>(options.receive_ring);
  config.proxy_connections_max = static_cast<std::uint32_t>(options.proxy_connections);
  for (unsigned i = 0; i < options.workers; ++i) {
    Part& part = *pool->parts_[i];
    config.index = static_cast<std::uint16_t>(i);
    worker::WorkerWiring wiring;
    wiring.io = &part.io;
    wiring.block = &segment.block(i);
    wiring.flow_arena = part.arena.bytes().first(control::flow_arena_octets(options.flows));
    wiring.connection_arena = part.connection_arena.bytes();
    wiring.views = &views;
    wiring.handoff = pool->handoff_.get();
    wiring.question_doorbell = &part.doorbell;
    wiring.forwards = &part.forwards;
    wiring.forward_doorbell = &pool->forward_bell_;
    part.worker = std::make_unique<worker::Worker>(config, wiring);
  }
  return pool;
}

WorkerPool::~WorkerPool() { stop(); }

void WorkerPool::start() {
  require(threads_.empty(), "workers started twice");
  stop_.store(false);
  for (std::size_t i = 0; i < parts_.size(); ++i) threads_.emplace_back([this, i] { run(i); });
}

void WorkerPool::stop() {
  stop_.store(true);
  wake_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::run(std::size_t index) {
  pthread_setname_np(pthread_self(), ("psk-worker-" + std::to_string(index)).c_str());
  if (!cpus_.empty()) {
    cpu_set_t cpu;
    CPU_ZERO(&cpu);
    CPU_SET(static_cast<std::size_t>(cpus_[index]), &cpu);
    pthread_setaffinity_np(pthread_self(), sizeof cpu, &cpu);  // checked at start (check_options)
  }
  const io::DpdkThread registered;
  parts_[index]->worker->run(stop_);
}

void WorkerPool::wake_all() {
  for (const auto& part : parts_) part->io.wake();
}

std::vector<io::DpdkIo*> WorkerPool::ios() const {
  std::vector<io::DpdkIo*> ios;
  for (const auto& part : parts_) ios.push_back(&part->io);
  return ios;
}

}  // namespace penstock::app
