// pcap_io.h - plays a capture file into a worker and writes what it transmits to another.
//
// Model     every frame of the input arrives on one port, in order, at most kBurstMax a call. Transmitted frames go
//           to the output with the time of the input frame that was received last.
// Units     frames longer than a buffer are skipped and counted.
// Errors    open() returns a Problem for files that are no Ethernet captures or cannot be written.
// Limits    kBuffers frames held at once; receive() returns nothing when all are held.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "dataplane/core/result.h"
#include "dataplane/io/packet_io.h"

struct pcap;
struct pcap_dumper;

namespace penstock::io {

class PcapIo final : public PacketIo {
 public:
  static constexpr std::size_t kBuffers = 4096;
  static constexpr std::uint16_t kHeadroom = 128;
  static constexpr std::uint16_t kFrameOctetsMax = 2048;

  /// `port` is the port that the input's frames come from.
  [[nodiscard]] static Result<std::unique_ptr<PcapIo>> open(const std::string& input, const std::string& output,
                                                            PortIndex port);
  ~PcapIo() override;
  [[nodiscard]] std::size_t receive(std::span<Frame> into) override;
  [[nodiscard]] std::size_t transmit(PortIndex port, std::span<Frame> frames) override;
  void drop(std::span<Frame> frames) override;
  [[nodiscard]] bool can_transmit(PortIndex) const override { return true; }
  void wait(Duration) override {}
  void wake() override {}

  [[nodiscard]] bool finished() const { return finished_; }
  /// Time stamp of the frame received last.
  [[nodiscard]] Instant time() const { return time_; }
  [[nodiscard]] std::size_t outstanding() const { return buffers_.size() - free_.size(); }
  [[nodiscard]] std::uint64_t received() const { return received_; }
  [[nodiscard]] std::uint64_t transmitted() const { return transmitted_; }
  [[nodiscard]] std::uint64_t skipped() const { return skipped_; }

 private:
  PcapIo() = default;
  using Buffer = std::vector<std::byte>;
  pcap* input_{};
  pcap* writer_{};
  pcap_dumper* output_{};
  PortIndex port_{};
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<Buffer*> free_;
  Instant time_{};
  bool finished_{};
  std::uint64_t received_{}, transmitted_{}, skipped_{};
};

}  // namespace penstock::io
