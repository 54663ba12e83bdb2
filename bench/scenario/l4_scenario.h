// l4_scenario.h - a worker over memory, with as many established flows as asked for.
//
// Model     `flows` connections are opened through the worker itself (SYN, SYN-ACK, ACK; datagram and reply), then
//           their packets are played, half from clients and half from endpoints: flows in random order, the packets of
//           a burst port by port, as device queues deliver them (or, to see what that is worth, in random order too).
#pragma once
#include <memory>
#include <vector>

#include "bench/harness/memory_io.h"
#include "dataplane/control/segment.h"
#include "dataplane/flow/test_arena.h"
#include "dataplane/worker/worker.h"

namespace penstock::bench {

struct L4Shape {
  IpProto proto{IpProto::udp};
  IpFamily family{IpFamily::v4};
  std::uint32_t flows{1};
  bool operator==(const L4Shape&) const = default;
};

enum class PortOrder : std::uint8_t { by_queue, interleaved };

class L4Scenario {
 public:
  explicit L4Scenario(const L4Shape& shape);
  /// Plays established traffic from now on.
  void play_established(PortOrder order = PortOrder::by_queue);
  /// Plays the first packet of `flows` new flows, which reach the table from clients never seen before.
  void play_new(std::uint32_t flows);
  /// One poll round with one burst; time goes on by 2 us, as it does for a worker that sends 16 million packets a
  /// second. A longer step would let the sweep over all flows, which time starts, run more often per packet than it
  /// ever can.
  void step() {
    now_ += std::chrono::microseconds{2};
    io_.allow(io::kBurstMax);
    worker_->step(now_);
    io_.allow(MemoryIo::kAll);
  }
  /// Lets so much time pass that every flow ends.
  void expire_all();
  [[nodiscard]] std::uint64_t transmitted() const { return io_.transmitted(); }
  [[nodiscard]] std::uint64_t received() const { return block_->counters.frames.read(); }
  [[nodiscard]] std::uint32_t flows() const { return worker_->flow_count(); }
  [[nodiscard]] std::span<const PacketStamp> mix() const { return mix_; }
  [[nodiscard]] MemoryIo& io() { return io_; }
  [[nodiscard]] const worker::WorkerView& view() const { return *publisher_.newest(); }

 private:
  [[nodiscard]] static std::vector<PacketTemplate> templates(const L4Shape& shape);
  [[nodiscard]] PacketStamp client_stamp(std::uint32_t i, std::uint8_t shape) const;
  void publish();
  void open_flows();

  L4Shape shape_;
  std::vector<PacketTemplate> templates_;
  MemoryIo io_;
  flow::TestArena arena_;
  std::unique_ptr<control::WorkerBlock> block_;
  worker::ViewExchange views_;
  worker::ViewPublisher publisher_{views_, 1};
  std::unique_ptr<worker::Worker> worker_;
  std::vector<PacketStamp> mix_, fresh_;
  std::uint32_t fresh_clients_{};
  Instant now_{std::chrono::seconds{1000}};
};

}  // namespace penstock::bench
