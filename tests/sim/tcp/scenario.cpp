#include "tests/sim/tcp/scenario.h"

#include <algorithm>
#include <sstream>

#include "tests/support/seeded.h"

namespace penstock::tcpsim {
namespace {

constexpr std::array<const char*, kVariants.size()> kVariantNames{
    "plain", "sequence_wrap_client", "sequence_wrap_server", "stamp_wrap", "timestamp_wrap", "coarse_wrap"};
constexpr std::array<const char*, kImpairmentCount> kImpairmentNames{"loss",
                                                                     "burst_loss",
                                                                     "lose_nth",
                                                                     "duplicate",
                                                                     "reorder",
                                                                     "corrupt",
                                                                     "jitter",
                                                                     "rate",
                                                                     "mtu_change",
                                                                     "pause",
                                                                     "slow_reader",
                                                                     "abort",
                                                                     "small_budget",
                                                                     "nagle",
                                                                     "no_sack",
                                                                     "no_timestamps",
                                                                     "no_scaling",
                                                                     "small_pool",
                                                                     "simultaneous_open",
                                                                     "icmp_silence",
                                                                     "no_rack",
                                                                     "lose_nth_of_all",
                                                                     "bursty_reader",
                                                                     "mtu_restored",
                                                                     "lends",
                                                                     "holds",
                                                                     "budgets_move",
                                                                     "cuts"};

/// Draws the same numbers whether or not an impairment is disabled, so that taking one away leaves the others alone.
class Draw {
 public:
  Draw(std::uint64_t seed, std::uint32_t disabled) : random_{seed}, disabled_{disabled} {}
  std::uint32_t upto(std::uint32_t bound) { return static_cast<std::uint32_t>(random_.below(bound + 1u)); }
  std::uint32_t between(std::uint32_t low, std::uint32_t high) { return low + upto(high - low); }
  bool one_in(std::uint32_t n) { return random_.below(n) == 0; }
  bool with(Impairment impairment, std::uint32_t n) {
    return one_in(n) && (disabled_ >> static_cast<unsigned>(impairment) & 1u) == 0;
  }

 private:
  test::Seeded random_;
  std::uint32_t disabled_;
};

/// Round-trip times from inside a node (5 us) to across the world, evenly on a log scale.
std::uint32_t draw_delay(Draw& draw) {
  const std::uint32_t scale = draw.upto(4);
  std::uint32_t low = 5;
  for (std::uint32_t i = 0; i < scale; ++i) low *= 8;
  return low + draw.upto(low * 7);
}

LinkPlan draw_link(Draw& draw, std::uint32_t delay_us) {
  LinkPlan out;
  const std::uint32_t loss = draw.between(1, 700), burst = draw.between(1, 60), burst_packets = draw.between(2, 6);
  const std::uint32_t nth = draw.between(2, 6), duplicate = draw.between(1, 500), reorder = draw.between(1, 1500);
  const std::uint32_t reorder_extra = draw.between(1, 3 * delay_us), corrupt = draw.between(1, 300);
  const std::uint32_t jitter = draw.between(1, delay_us), rate = draw.between(200, 50000);
  const std::uint32_t queue = draw.between(2000, 100000), mtu_at = draw.between(1000, 300000);
  const std::uint32_t mtu_after = draw.between(0, 2), pause_at = draw.between(1000, 500000);
  const std::uint32_t pause_for = draw.between(1000, 5'000'000);
  constexpr std::array<std::uint16_t, 3> kMtus{1280, 1400, 1460};
  out.delay_us = delay_us;
  if (draw.with(Impairment::loss, 2)) out.loss = loss;
  if (draw.with(Impairment::burst_loss, 5)) out.burst_start = burst, out.burst_packets = burst_packets;
  if (draw.with(Impairment::lose_nth, 5)) out.lose_nth = nth;
  if (draw.with(Impairment::duplicate, 4)) out.duplicate = duplicate;
  if (draw.with(Impairment::reorder, 3)) out.reorder = reorder, out.reorder_extra_us = reorder_extra;
  if (draw.with(Impairment::corrupt, 4)) out.corrupt = corrupt;
  if (draw.with(Impairment::jitter, 3)) out.jitter_us = jitter;
  if (draw.with(Impairment::rate, 3)) out.octets_per_ms = rate, out.queue_us = queue;
  if (draw.with(Impairment::mtu_change, 6)) out.mtu_change_at_us = mtu_at, out.mtu_after = kMtus[mtu_after];
  if (draw.with(Impairment::icmp_silence, 3)) out.icmp_silent = true;
  if (draw.with(Impairment::pause, 6)) out.pause_at_us = pause_at, out.pause_for_us = pause_for;
  return out;
}

std::uint64_t draw_total(Draw& draw) {
  switch (draw.upto(5)) {
    case 0:
      return draw.upto(1);
    case 1:
      return draw.upto(3000);
    case 2:
      return draw.upto(20000);
    default:
      return draw.upto(200000);
  }
}

AppPlan draw_app(Draw& draw, std::uint32_t delay_us) {
  AppPlan out;
  out.total = draw_total(draw);
  out.write_chunk = draw.one_in(3) ? draw.between(1, 300) : draw.between(500, 65536);
  const std::uint32_t every = draw.between(10, 2 * delay_us + 2000);
  if (draw.one_in(3)) out.write_every_us = every;
  if (out.write_every_us != 0) out.total = std::min<std::uint64_t>(out.total, 300ull * out.write_chunk);
  const std::uint32_t read_chunk = draw.one_in(3) ? draw.between(1, 500) : draw.between(1000, 30000);
  const std::uint32_t read_every = draw.between(10, 20000), stall = draw.between(1000, 8'000'000);
  const std::uint32_t stall_after = draw.upto(50000);
  const bool slow = draw.with(Impairment::slow_reader, 4), stalls = draw.with(Impairment::slow_reader, 6);
  if (slow) out.read_chunk = read_chunk, out.read_every_us = read_every;
  if (stalls) out.stall_after = stall_after, out.stall_us = stall;
  return out;
}

void draw_endings(Draw& draw, ConnectionPlan& plan) {
  constexpr std::array kQuiet{Ending::shutdown_when_written, Ending::after_peer, Ending::close_when_done};
  const std::uint32_t first = draw.upto(2), second = draw.upto(2), at = draw.upto(100000), who = draw.upto(1);
  plan.app[0].ending = kQuiet[first];
  plan.app[1].ending = kQuiet[second];
  // Two ends that wait for each other would wait forever; that is not TCP's business.
  const auto waits = [](const AppPlan& app) { return app.ending == Ending::after_peer; };
  if (waits(plan.app[0]) && waits(plan.app[1])) plan.app[0].ending = Ending::shutdown_when_written;
  if (draw.with(Impairment::abort, 12))
    plan.app[who].ending = draw.one_in(2) ? Ending::abort_midway : Ending::close_early, plan.app[who].ending_at = at;
}

ConnectionPlan draw_connection(Draw& draw, std::uint32_t delay_us, std::uint16_t number) {
  ConnectionPlan out;
  out.app = {draw_app(draw, delay_us), draw_app(draw, delay_us)};
  out.opens_at_us = draw.upto(20000);
  out.client_port = static_cast<std::uint16_t>(40000 + number);
  out.server_port = static_cast<std::uint16_t>(80 + number);
  const std::uint32_t request = draw.between(1, 4000), response = draw.between(1, 30000), rounds = draw.between(1, 20);
  if (draw.one_in(4)) {
    out.app[0].rpc_octets = request, out.app[1].rpc_octets = response;
    out.app[0].total = std::uint64_t{request} * rounds, out.app[1].total = std::uint64_t{response} * rounds;
    out.app[0].write_every_us = out.app[1].write_every_us = 0;
  }
  out.simultaneous = draw.with(Impairment::simultaneous_open, 10);
  draw_endings(draw, out);
  // A request/response pair needs both directions open until the last answer.
  if (out.app[0].rpc_octets != 0 && out.app[1].ending == Ending::after_peer)
    out.app[0].ending = Ending::shutdown_when_written;
  return out;
}

tcp::Limits draw_limits(Draw& draw) {
  tcp::Limits out;
  const std::uint32_t receive = draw.between(2000, 65536), send = draw.between(2000, 65536), shift = draw.upto(14);
  const std::uint32_t pieces = draw.between(1, 64);
  if (draw.with(Impairment::small_budget, 3)) out.receive_budget_octets = receive;
  if (draw.with(Impairment::small_budget, 3)) out.send_budget_octets = send;
  if (draw.one_in(3)) out.window_shift = static_cast<std::uint8_t>(shift);
  while (out.receive_budget_octets >> out.window_shift < 8) --out.window_shift;
  if (draw.with(Impairment::nagle, 4)) out.nagle = true;
  if (draw.with(Impairment::no_sack, 4)) out.sack = false;
  if (draw.with(Impairment::no_rack, 4)) out.rack = false;
  if (draw.with(Impairment::no_timestamps, 4)) out.timestamps = false;
  if (draw.with(Impairment::no_scaling, 5)) out.window_scaling = false;
  if (draw.with(Impairment::small_pool, 6)) out.reassembly_entries_max = static_cast<std::uint16_t>(pieces);
  return out;
}

/// What was invented after seeds had been kept: drawn apart, so that those mean what they meant.
void draw_additions(Draw& draw, Scenario& out) {
  for (LinkPlan& link : out.link) {
    const std::uint32_t nth = draw.between(4, 20), restored = draw.between(50'000, 2'000'000);
    if (draw.with(Impairment::lose_nth_of_all, 8)) link.lose_nth_of_all = nth;
    if (draw.with(Impairment::mtu_restored, 2) && link.mtu_change_at_us != 0)
      link.mtu_restored_at_us = link.mtu_change_at_us + restored;
  }
  for (ConnectionPlan& plan : out.connections) {
    for (AppPlan& app : plan.app) {
      const std::uint32_t every = draw.between(1000, 400'000);
      if (draw.with(Impairment::bursty_reader, 6) && app.read_every_us == 0) app.read_every_us = every;
    }
  }
}

void restrict_to_transfer(Scenario& out, std::uint64_t octets) {
  out.connections.resize(1);
  for (AppPlan& app : out.connections[0].app) {
    app.total = app.rpc_octets = app.write_every_us = 0;
    app.write_chunk = std::max(app.write_chunk, 500u);
    if (app.read_chunk != 0) app.read_chunk = std::max(app.read_chunk, 500u);
  }
  out.connections[0].app[0].total = octets;
}

/// What lwIP cannot do: open simultaneously, or learn that a path takes smaller packets than the interface.
void restrict_to_lwip(Scenario& out, bool client) {
  out.lwip_side = client ? 0 : 1;
  out.link[out.lwip_side].mtu_change_at_us = 0;
  for (ConnectionPlan& plan : out.connections) plan.simultaneous = false;
}

}  // namespace

std::string name_of(Variant variant) { return kVariantNames[static_cast<std::size_t>(variant)]; }
std::string name_of(Impairment impairment) { return kImpairmentNames[static_cast<std::size_t>(impairment)]; }

bool Scenario::may_lose_data(const ConnectionPlan& plan) const {
  return std::any_of(plan.app.begin(), plan.app.end(), [](const AppPlan& app) {
    return app.ending == Ending::abort_midway || app.ending == Ending::close_early;
  });
}

Scenario make_scenario(std::uint64_t seed, Variant variant, std::uint32_t disabled, const Workload& workload) {
  if (workload.transfer_octets != 0) disabled |= 1u << static_cast<unsigned>(Impairment::abort);
  Draw draw{seed, disabled};
  Scenario out;
  out.seed = seed;
  out.variant = variant;
  out.disabled = disabled;
  out.v4 = draw.one_in(2);
  const std::uint32_t delay_us = draw_delay(draw);
  out.link = {draw_link(draw, delay_us), draw_link(draw, delay_us)};
  for (std::size_t side = 0; side < 2; ++side) {
    out.limits[side] = draw_limits(draw);
    if ((seed >> side & 1) != 0) out.limits[side].congestion_control = tcp::CongestionControl::reno;
    const std::uint32_t entries = draw.between(24, 200);
    if (draw.with(Impairment::small_pool, 6)) out.pool_entries[side] = entries, out.pool_blocks[side] = entries / 2 + 8;
  }
  const std::uint32_t count = draw.one_in(4) ? draw.between(2, 3) : 1;
  for (std::uint32_t i = 0; i < count; ++i)
    out.connections.push_back(draw_connection(draw, delay_us, static_cast<std::uint16_t>(i)));
  Draw additions{~seed, disabled};
  draw_additions(additions, out);
  if (workload.transfer_octets != 0) restrict_to_transfer(out, workload.transfer_octets);
  const bool lwip_is_client = additions.one_in(2);
  for (bool& lends : out.lends) lends = additions.with(Impairment::lends, 2);
  for (bool& holds : out.holds) holds = additions.with(Impairment::holds, 2);
  for (bool& moves : out.budgets_move) moves = additions.with(Impairment::budgets_move, 4);
  for (bool& cuts : out.cuts) cuts = additions.with(Impairment::cuts, 2);
  if (workload.lwip) restrict_to_lwip(out, lwip_is_client);
  return out;
}

std::string describe(const Scenario& scenario) {
  std::ostringstream out;
  out << "seed " << scenario.seed << " variant " << name_of(scenario.variant) << (scenario.v4 ? " IPv4" : " IPv6");
  for (const LinkPlan& link : scenario.link) {
    out << "\n  link delay " << link.delay_us << " us jitter " << link.jitter_us << " loss " << link.loss << " burst "
        << link.burst_start << "x" << link.burst_packets << " nth " << link.lose_nth << "/" << link.lose_nth_of_all
        << " dup " << link.duplicate << " reorder " << link.reorder << "/" << link.reorder_extra_us << " corrupt "
        << link.corrupt << " rate " << link.octets_per_ms << "/" << link.queue_us << " mtu " << link.mtu_after << "@"
        << link.mtu_change_at_us << "-" << link.mtu_restored_at_us << (link.icmp_silent ? " silent" : "") << " pause "
        << link.pause_for_us << "@" << link.pause_at_us;
  }
  for (std::size_t side = 0; side < 2; ++side) {
    const tcp::Limits& limits = scenario.limits[side];
    out << "\n  host budgets " << limits.send_budget_octets << "/" << limits.receive_budget_octets << " shift "
        << unsigned{limits.window_shift} << (limits.nagle ? " nagle" : "") << (limits.sack ? "" : " no-sack")
        << (limits.rack ? "" : " no-rack") << (limits.congestion_control == tcp::CongestionControl::reno ? " reno" : "")
        << (limits.timestamps ? "" : " no-ts") << (limits.window_scaling ? "" : " no-scale")
        << (scenario.lends[side] ? " lends" : "") << (scenario.holds[side] ? " holds" : "")
        << (scenario.cuts[side] ? " cuts" : "") << (scenario.budgets_move[side] ? " budgets-move" : "") << " entries "
        << scenario.pool_entries[side] << " pieces " << limits.reassembly_entries_max;
  }
  if (scenario.lwip_side != kNoSide) out << "\n  lwIP is the " << (scenario.lwip_side == 0 ? "client" : "server");
  for (const ConnectionPlan& plan : scenario.connections)
    for (const AppPlan& app : plan.app)
      out << "\n  app " << app.total << " octets by " << app.write_chunk << " every " << app.write_every_us << " rpc "
          << app.rpc_octets << " read " << app.read_chunk << "/" << app.read_every_us << " stall " << app.stall_us
          << "@" << app.stall_after << " ending " << static_cast<int>(app.ending) << "@" << app.ending_at
          << (plan.simultaneous ? " simultaneous" : "");
  return out.str();
}

}  // namespace penstock::tcpsim
