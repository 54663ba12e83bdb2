// sim_io.h - ports in memory for the simulator: many workers, no clock, seeded faults.
//
// Model     SimDevice is the outside world: inject() puts a frame into a receive queue, take_sent() collects what
//           workers transmitted. One SimIo per worker is its PacketIo. Queue q of a port belongs to worker
//           q % workers, as on a device.
// Faults    each injected frame may be lost, doubled, or overtaken by the next one, by a seeded generator.
// Rule      outstanding() counts what workers own of buffers: 0 after everything is sent or dropped. hold_sent() keeps
//           transmitted buffers owned by the device, as one that sends later does.
// Limits    `buffers` in all; inject() on an empty pool loses the frame and counts it (no_buffer), and so does one on a
//           full receive queue (ring_full).
// Not here  threads: one caller drives everything.
#pragma once
#include <array>
#include <deque>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "dataplane/io/packet_io.h"

namespace penstock::io {

struct SimFaults {
  std::uint32_t loss_percent{};
  std::uint32_t duplicate_percent{};
  std::uint32_t reorder_percent{};
};

struct SimOptions {
  std::size_t workers{1};
  std::size_t ports{2};
  std::size_t queues{1};  ///< per port
  std::size_t buffers{4096};
  std::size_t ring{};  ///< frames that a receive queue holds; 0: no bound
  std::uint32_t seed{1};
  SimFaults faults{};
  std::uint16_t headroom{128};
  std::uint16_t frame_octets_max{2048};
  std::uint16_t cut_mtu{};  ///< TCP segments above it are cut, as by a device; 0: whatever comes leaves as it is
};

struct SentFrame {
  PortIndex port{};
  std::size_t worker{};
  std::vector<std::byte> bytes;
};

class SimDevice;

class SimIo final : public PacketIo {
 public:
  SimIo(SimDevice& device, std::size_t worker) : device_{device}, worker_{worker} {}
  [[nodiscard]] std::size_t receive(std::span<Frame> into) override;
  [[nodiscard]] std::size_t transmit(PortIndex port, std::span<Frame> frames) override;
  void drop(std::span<Frame> frames) override;
  [[nodiscard]] std::size_t allocate(std::span<Frame> into) override;
  [[nodiscard]] Frame share(const RawFrame& buffer) override;
  [[nodiscard]] bool is_sole_owner(const RawFrame& buffer) const override;
  [[nodiscard]] bool can_transmit(PortIndex port) const override;
  void wait(Duration) override {}
  void wake() override { ++wakes_; }
  [[nodiscard]] std::size_t wakes() const { return wakes_; }

 private:
  SimDevice& device_;
  std::size_t worker_;
  std::size_t next_port_{};
  std::size_t wakes_{};
};

class SimDevice {
 public:
  explicit SimDevice(const SimOptions& options);
  ~SimDevice();
  [[nodiscard]] SimIo& io(std::size_t worker) { return *ios_[worker]; }
  /// A frame arrives. Faults apply.
  void inject(PortIndex port, ByteView bytes, std::size_t queue = 0);
  /// Everything transmitted since the last call, in order.
  [[nodiscard]] std::vector<SentFrame> take_sent() { return std::exchange(sent_, {}); }
  /// From now on transmit() on `port` takes at most `frames` per call (kBurstMax: everything).
  void limit_transmit(PortIndex port, std::size_t frames) { transmit_limit_[port] = frames; }
  [[nodiscard]] std::size_t outstanding() const;
  /// From now on the device owns transmitted buffers until release_sent().
  void hold_sent() { hold_sent_ = true; }
  void release_sent();
  /// Frames in receive queues.
  [[nodiscard]] std::size_t waiting() const;
  /// Frames that came into a receive queue.
  [[nodiscard]] std::uint64_t delivered() const { return delivered_; }
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  [[nodiscard]] std::uint64_t no_buffer() const { return no_buffer_; }
  [[nodiscard]] std::uint64_t ring_full() const { return ring_full_; }

 private:
  friend class SimIo;
  using Buffer = std::vector<std::byte>;
  [[nodiscard]] std::deque<Frame>& queue(std::size_t port, std::size_t q) {
    return queues_[port * options_.queues + q];
  }
  void deliver(PortIndex port, ByteView bytes, std::size_t queue);
  [[nodiscard]] Buffer* lend();
  void give_back(Frame& frame);
  [[nodiscard]] bool chance(std::uint32_t percent) { return percent != 0 && random_() % 100 < percent; }

  SimOptions options_;
  std::vector<std::unique_ptr<Buffer>> free_;
  std::vector<std::unique_ptr<SimIo>> ios_;
  std::vector<std::deque<Frame>> queues_;
  std::vector<std::size_t> transmit_limit_;
  std::vector<SentFrame> sent_;
  std::map<void*, unsigned> lent_;  // owners; a buffer that comes back too often, or was never lent, is a fault
  std::vector<Frame> held_;         // transmitted, still owned by the device
  bool hold_sent_{};
  std::minstd_rand random_;
  std::uint64_t delivered_{}, lost_{}, no_buffer_{}, ring_full_{};
};

}  // namespace penstock::io
