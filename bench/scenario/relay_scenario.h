// relay_scenario.h - a worker that proxies TCP over memory, and peers that are counters of sequence numbers.
//
// Model     clients and endpoints keep just enough state to go on: numbers, the last timestamp. Their segments carry
//           the options of a Linux peer; payload is whatever lies in the buffer. Buffers have owners, so payload is
//           sent in place as on a device. What the worker sends is read back (ports, numbers, timestamp) and answered.
// Cost      making and reading the peers' frames is inside every measurement; peers_alone() makes and reads the same
//           frames without a worker, for the bench to measure apart in the same run.
// Not here  devices, checksums of what arrives (a veth's packets are trusted).
#pragma once
#include <array>
#include <memory>
#include <vector>

#include "dataplane/control/segment.h"
#include "dataplane/flow/test_arena.h"
#include "dataplane/io/packet_io.h"
#include "dataplane/worker/worker.h"

namespace penstock::bench {

inline constexpr std::uint16_t kFullPayload = 1448;

/// Both far ends of one proxied connection.
struct FarPair {
  struct End {
    std::uint32_t nxt{}, una{};  ///< next to send; everything before was acknowledged
    std::uint32_t rcv{};         ///< next expected
    std::uint32_t echo{};        ///< the worker's last timestamp
    bool open{}, finished{};     ///< `finished`: the worker's FIN came
  };
  End client, endpoint;
  std::uint16_t node_port{};
  std::uint8_t endpoint_index{};
};

class PeerIo final : public io::PacketIo {
 public:
  explicit PeerIo(std::uint32_t connections);
  [[nodiscard]] std::size_t receive(std::span<Frame> into) override;
  [[nodiscard]] std::size_t transmit(PortIndex port, std::span<Frame> frames) override;
  void drop(std::span<Frame> frames) override;
  [[nodiscard]] std::size_t allocate(std::span<Frame> into) override;
  [[nodiscard]] Frame share(const RawFrame& buffer) override;
  [[nodiscard]] bool is_sole_owner(const RawFrame& buffer) const override;
  [[nodiscard]] bool can_transmit(PortIndex) const override { return true; }
  void wait(Duration) override {}
  void wake() override {}

  /// What arrives next: a segment of the client's (or endpoint's) of this connection.
  void queue(std::uint32_t connection, bool from_client, std::uint8_t flags, std::uint16_t payload);
  /// Reads a frame as a far end would, without believing it.
  void overhear(ByteView frame);
  [[nodiscard]] bool empty() const { return queued_.empty(); }
  [[nodiscard]] FarPair& pair(std::uint32_t connection) { return pairs_[connection]; }
  [[nodiscard]] std::uint64_t sent_payload_segments() const { return sent_payload_segments_; }
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  /// An endpoint answers each request with a response, and closes behind it.
  std::uint16_t response_octets{};
  /// Every how many segments of payload a peer acknowledges; 0: never by itself.
  std::uint32_t ack_every{2};

 private:
  struct Queued {
    std::uint32_t connection;
    std::uint16_t payload;
    std::uint8_t flags;
    bool from_client;
  };
  struct Buffer {
    std::array<std::byte, 2048> bytes;
    std::uint32_t owners;
  };
  [[nodiscard]] Frame make(const Queued& queued);
  void read(ByteView frame, PortIndex port);
  void answer_client(std::uint32_t connection, std::uint8_t flags, std::uint16_t payload);
  void answer_endpoint(std::uint32_t connection, std::uint8_t flags, std::uint16_t payload);
  [[nodiscard]] Buffer* take();

  std::vector<FarPair> pairs_;
  std::vector<Queued> queued_;
  std::size_t queued_at_{};
  std::vector<Buffer> buffers_;
  std::vector<Buffer*> free_;
  std::vector<std::uint32_t> waiting_;  ///< connections whose endpoint will be dialled, in order
  std::size_t waiting_at_{};
  std::array<std::vector<std::uint32_t>, 16> of_endpoint_port_;  ///< connection by endpoint and node port
  std::uint64_t sent_payload_segments_{}, sent_{};
  std::uint32_t clock_{};  ///< of the peers' timestamps
};

class RelayScenario {
 public:
  explicit RelayScenario(std::uint32_t connections);
  ~RelayScenario() { worker_->drain(); }
  RelayScenario(const RelayScenario&) = delete;
  RelayScenario& operator=(const RelayScenario&) = delete;
  /// Opens all connections and leaves them idle.
  void open_all();
  /// `segments` full segments from the client of each of the connections [first, first + count), and everything that
  /// follows from them.
  void move(std::uint32_t first, std::uint32_t count, std::uint32_t segments);
  /// Connections from SYN to TIME-WAIT, with a request of 100 octets and a response: [first, first + count), together.
  void live(std::uint32_t first, std::uint32_t count);
  /// Makes and reads as many frames as move() does, without a worker.
  void peers_alone(std::uint32_t first, std::uint32_t count, std::uint32_t segments);
  [[nodiscard]] PeerIo& io() { return io_; }
  [[nodiscard]] const worker::Worker& worker() const { return *worker_; }
  [[nodiscard]] const control::ProxyCounters& counters() const { return block_->counters.proxy; }
  /// Lets TIME-WAIT pass.
  void expire();

 private:
  void run();
  void begin(std::uint32_t connection);
  void publish();
  std::uint32_t connections_;
  std::uint32_t isn_{};
  PeerIo io_;
  flow::TestArena arena_;
  std::unique_ptr<control::WorkerBlock> block_;
  worker::ViewExchange views_;
  worker::ViewPublisher publisher_{views_, 1};
  std::unique_ptr<worker::Worker> worker_;
  Instant now_{std::chrono::seconds{1000}};
};

}  // namespace penstock::bench
