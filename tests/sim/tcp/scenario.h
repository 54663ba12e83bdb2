// scenario.h - everything that one seed decides: links, faults, applications, limits, and the start of the clock.
//
// Model     a Scenario is a plain value drawn from one generator; the run itself draws from another with the same seed.
//           `disabled` takes single impairments away, which is what the shrinker does. What a seed means stays: later
//           inventions are drawn from a generator of their own.
// Units     virtual microseconds; octets; losses in 1/10000.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/core/addresses.h"
#include "dataplane/tcp/limits.h"

namespace penstock::tcpsim {

/// Where the clock and the sequence numbers start.
enum class Variant : std::uint8_t {
  plain,
  sequence_wrap_client,
  sequence_wrap_server,
  stamp_wrap,
  timestamp_wrap,
  coarse_wrap
};
inline constexpr std::array kVariants{Variant::plain,      Variant::sequence_wrap_client, Variant::sequence_wrap_server,
                                      Variant::stamp_wrap, Variant::timestamp_wrap,       Variant::coarse_wrap};
[[nodiscard]] std::string name_of(Variant variant);

/// Impairments that can be taken away one by one.
enum class Impairment : std::uint8_t {
  loss,
  burst_loss,
  lose_nth,
  duplicate,
  reorder,
  corrupt,
  jitter,
  rate,
  mtu_change,
  pause,
  slow_reader,
  abort,
  small_budget,
  nagle,
  no_sack,
  no_timestamps,
  no_scaling,
  small_pool,
  simultaneous_open,
  icmp_silence,
  no_rack,
  lose_nth_of_all,
  bursty_reader,
  mtu_restored,
  lends,
  holds,
  budgets_move,
  cuts,
  count
};
inline constexpr std::size_t kImpairmentCount = static_cast<std::size_t>(Impairment::count);
[[nodiscard]] std::string name_of(Impairment impairment);

struct LinkPlan {
  std::uint32_t delay_us{1000};
  std::uint32_t jitter_us{};
  std::uint32_t loss{};         ///< of each packet
  std::uint32_t burst_start{};  ///< of a burst beginning at a packet
  std::uint32_t burst_packets{};
  std::uint32_t lose_nth{};         ///< every n-th pure acknowledgement or window update; 0: none
  std::uint32_t lose_nth_of_all{};  ///< every n-th packet of any kind; 0: none
  std::uint32_t lose_packet{};      ///< exactly this one, counted from 1; 0: none
  std::uint32_t duplicate{};
  std::uint32_t reorder{};
  std::uint32_t reorder_extra_us{};
  std::uint32_t corrupt{};
  std::uint32_t octets_per_ms{};  ///< 0: unlimited
  std::uint32_t queue_us{};       ///< longest wait in the sender's queue before a packet is dropped
  std::uint16_t mtu{1500};
  std::uint64_t mtu_change_at_us{};  ///< 0: never
  std::uint16_t mtu_after{};
  std::uint64_t mtu_restored_at_us{};  ///< 0: never
  bool icmp_silent{};                  ///< drops what is too big without a word
  std::uint64_t pause_at_us{};         ///< 0: never
  std::uint32_t pause_for_us{};
};

enum class Ending : std::uint8_t {
  shutdown_when_written,  ///< half-close as soon as everything is written
  after_peer,             ///< close only when the peer has closed
  close_when_done,        ///< close() when everything is written and everything expected was read
  abort_midway,
  close_early  ///< close() while the peer still sends
};

struct AppPlan {
  std::uint64_t total{};  ///< octets to write
  std::uint32_t write_chunk{16384};
  std::uint32_t write_every_us{};  ///< 0: whenever there is room
  std::uint32_t rpc_octets{};      ///< client: request, server: response; 0: no request/response pattern
  std::uint32_t read_chunk{};      ///< 0: everything that is there
  std::uint32_t read_every_us{};   ///< a slow reader with a chunk, a bursty one without
  std::uint64_t stall_after{};     ///< stop reading at this many octets, once
  std::uint32_t stall_us{};
  Ending ending{Ending::shutdown_when_written};
  std::uint64_t ending_at{};  ///< octets read or written before abort_midway or close_early
};

struct ConnectionPlan {
  std::array<AppPlan, 2> app;  ///< client, server
  std::uint64_t opens_at_us{};
  bool simultaneous{};
  std::uint16_t client_port{};
  std::uint16_t server_port{};
};

inline constexpr std::size_t kNoSide = 2;

struct Scenario {
  std::uint64_t seed{};
  Variant variant{Variant::plain};
  std::uint32_t disabled{};  ///< bit set of Impairment
  bool v4{true};
  std::array<LinkPlan, 2> link;  ///< from client, from server
  std::array<tcp::Limits, 2> limits;
  std::array<std::uint32_t, 2> pool_entries{4096, 4096};
  std::array<std::uint32_t, 2> pool_blocks{2048, 2048};
  std::array<bool, 2> lends{};         ///< writes by reference, from buffers that are lent
  std::array<bool, 2> holds{};         ///< keeps references on what was delivered until it is consumed
  std::array<bool, 2> cuts{};          ///< the device cuts segments that are too large; the host lends larger buffers
  std::array<bool, 2> budgets_move{};  ///< up and down below the limits, while connections live
  std::vector<ConnectionPlan> connections;
  std::size_t lwip_side{kNoSide};  ///< which host runs lwIP instead of our engine

  /// An ending or a fault that may cost data is part of the plan.
  [[nodiscard]] bool may_lose_data(const ConnectionPlan& plan) const;
};

/// How seeds become scenarios in one run of the program.
struct Workload {
  bool lwip{};                      ///< lwIP at one end, which one is drawn
  std::uint64_t transfer_octets{};  ///< one connection, this much from client to server, no aborts; 0: as drawn
};

[[nodiscard]] Scenario make_scenario(std::uint64_t seed, Variant variant, std::uint32_t disabled,
                                     const Workload& workload = {});
[[nodiscard]] std::string describe(const Scenario& scenario);

}  // namespace penstock::tcpsim
