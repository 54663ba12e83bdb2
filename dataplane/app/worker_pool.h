// worker_pool.h - the workers of the process, their memory and their threads.
//
// Model     everything a worker needs is made before its thread starts: device queues (DpdkIo), flow arena, hand-off
//           rings, doorbell. Threads can be stopped and started again; connections stay in the arenas.
// Threads   control thread.
// Errors    create() says which memory is missing.
#pragma once
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "dataplane/app/options.h"
#include "dataplane/app/shared_memory.h"
#include "dataplane/io/dpdk/dpdk_io.h"
#include "dataplane/worker/worker.h"

namespace penstock::app {

class WorkerPool {
 public:
  [[nodiscard]] static Result<std::unique_ptr<WorkerPool>> create(const Options& options,
                                                                  const control::SegmentView& segment,
                                                                  worker::ViewExchange& views, bool hugepages);
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  void start();
  void stop();
  [[nodiscard]] bool running() const { return !threads_.empty(); }
  [[nodiscard]] std::size_t size() const { return parts_.size(); }
  void wake_all();

  [[nodiscard]] std::vector<io::DpdkIo*> ios() const;
  [[nodiscard]] worker::Worker& worker(std::size_t index) { return *parts_[index]->worker; }
  [[nodiscard]] const SharedMemory& arena(std::size_t index) const { return parts_[index]->arena; }
  [[nodiscard]] const SharedMemory& connection_arena(std::size_t index) const {
    return parts_[index]->connection_arena;
  }
  /// The worker writes it to wake the daemon.
  [[nodiscard]] int question_fd(std::size_t index) const { return parts_[index]->doorbell.fd(); }
  /// The daemon writes it to wake the worker.
  [[nodiscard]] int answer_fd(std::size_t index) const { return parts_[index]->io.event_fd(); }
  [[nodiscard]] worker::ForwardExchange& forwards(std::size_t index) { return parts_[index]->forwards; }
  /// A worker writes it when it has an order for tier X and the control thread sleeps.
  [[nodiscard]] const Fd& forward_bell() const { return forward_bell_.event(); }

 private:
  class EventDoorbell final : public worker::Doorbell {
   public:
    EventDoorbell();
    void ring() override;
    [[nodiscard]] int fd() const { return event_.get(); }
    [[nodiscard]] const Fd& event() const { return event_; }

   private:
    Fd event_;
  };
  struct Part {
    explicit Part(worker::ForwardShare share) : forwards{share} {}
    io::DpdkIo io;
    EventDoorbell doorbell;
    SharedMemory arena;
    SharedMemory connection_arena;
    worker::ForwardExchange forwards;
    std::unique_ptr<worker::Worker> worker;
  };
  WorkerPool() = default;
  void run(std::size_t index);

  std::vector<int> cpus_;
  EventDoorbell forward_bell_;
  std::vector<std::unique_ptr<Part>> parts_;
  std::unique_ptr<worker::HandoffMesh> handoff_;
  std::atomic<bool> stop_{};
  std::vector<std::thread> threads_;
};

}  // namespace penstock::app
