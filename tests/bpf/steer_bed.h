// steer_bed.h - the steering program under BPF_PROG_TEST_RUN, with the configuration of steer_cases.h.
//
// Model     one loaded instance with unpinned maps; queue 0 has a socket, heartbeats are fresh, the port is enabled.
// Errors    gtest failures; available() is false without the privileges to load BPF.
#pragma once
#include <cstdint>
#include <optional>

#include "mgmt/kernel/steer_loader.h"
#include "mgmt/kernel/unique_fd.h"
#include "tests/bpf/steer_cases.h"

namespace penstock::test {

struct SteerOutcome {
  std::uint32_t action{0};      ///< XDP_*
  std::optional<__u32> reason;  ///< the one counter that rose; nullopt when none or several did
  std::uint64_t counted{0};     ///< sum over all reasons
  friend bool operator==(const SteerOutcome&, const SteerOutcome&) = default;
};

class SteerBed {
 public:
  /// With `large_frames` the program takes frames whose payload lies in further buffers.
  [[nodiscard]] static Result<SteerBed> create(bool large_frames = false);
  [[nodiscard]] SteerOutcome run(const Bytes& frame, std::uint32_t queue = 0);
  /// Mean nanoseconds per run over `repeat` runs, as the kernel measures them.
  [[nodiscard]] std::uint32_t nanoseconds(const Bytes& frame, std::uint32_t repeat);

  void set_config(const penstock_steer_config& config);
  [[nodiscard]] penstock_steer_config config() const;
  void set_enabled(bool enabled);
  /// Worker's heartbeat, this many nanoseconds ago; negative is in the future.
  void beat(std::uint32_t worker, std::int64_t ago_ns);
  void never_beat(std::uint32_t worker);
  void unbind_queue(std::uint32_t queue);
  void bind_queue(std::uint32_t queue);
  /// Moves all records this far into the past.
  void age_kernel_flows(std::uint64_t ns);
  void clear_kernel_flows();
  /// Moves the stamp of the newest kernel flow this far into the past.
  void age_newest_kernel_flow(std::uint64_t ns);
  /// Frames come in by this interface of the caller's namespace; queues other than 0 need one.
  void receive_by(std::uint32_t ifindex) { ifindex_ = ifindex; }
  [[nodiscard]] std::size_t kernel_flows() const;
  /// As if packets from kClient4 and kClient6, port 40000, to a DNAT service had been steered, this long ago first.
  void record_dnat_flows(std::uint64_t ago_ns = 0);
  /// Evicts them all.
  void clear_dnat_flows();
  [[nodiscard]] std::size_t dnat_flows() const;
  /// Packets of `flow` are forwarded as slot `index` says, which is live from now on.
  void forward(const penstock_flow_key& flow, std::uint32_t index, penstock_forward_slot slot);
  void set_entry(const penstock_flow_key& flow, const penstock_forward& entry);
  [[nodiscard]] penstock_forward_slot slot(std::uint32_t index) const;
  void set_slot(std::uint32_t index, const penstock_forward_slot& slot);
  [[nodiscard]] std::size_t forwards() const { return entries("steer_forwards", sizeof(penstock_flow_key)); }
  /// Frames can be redirected to a port, or can no longer.
  void set_device(std::uint32_t port_index, bool present);
  /// What the last run() left of its frame.
  [[nodiscard]] const Bytes& output() const { return output_; }
  [[nodiscard]] int map(std::string_view name) const { return kernel::map_fd(object_, name); }

 private:
  SteerBed() = default;
  void configure();
  [[nodiscard]] std::size_t entries(const char* name, std::size_t key_octets) const;
  kernel::BpfObject object_;
  kernel::UniqueFd socket_;
  std::uint32_t ifindex_{0};
  Bytes output_;
};

}  // namespace penstock::test
