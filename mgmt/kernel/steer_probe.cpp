#include "mgmt/kernel/steer_probe.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <array>
#include <thread>

#include "bpf/abi/steer_reasons.h"
#include "mgmt/kernel/netns.h"
#include "mgmt/kernel/system_problem.h"

namespace penstock::kernel {
namespace {

constexpr std::size_t kProbeOctets = 60;
constexpr auto kResend = std::chrono::milliseconds{100};
constexpr auto kPoll = std::chrono::milliseconds{1};

std::array<std::uint8_t, kProbeOctets> probe_frame() {
  std::array<std::uint8_t, kProbeOctets> frame{};
  frame[0] = frame[6] = 0x02;  // locally administered link addresses, to nobody
  frame[12] = PENSTOCK_PROBE_ETHERTYPE >> 8;
  frame[13] = PENSTOCK_PROBE_ETHERTYPE & 0xff;
  for (std::size_t i = 0; i < 4; ++i) frame[14 + i] = static_cast<std::uint8_t>(PENSTOCK_PROBE_MAGIC >> (24 - 8 * i));
  return frame;
}

Status send_probe(const SteerPort& port) {
  auto visit = NamespaceVisit::enter(port.netns_fd());
  if (!visit) return visit.error();
  auto frame = probe_frame();
  xdp_md context{};
  context.data_end = kProbeOctets;
  context.ingress_ifindex = port.status().ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, run, .data_in = frame.data(), .data_size_in = kProbeOctets, .ctx_in = &context,
              .ctx_size_in = sizeof context, .repeat = 1, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);
  if (const int error = bpf_prog_test_run_opts(port.program_fd(), &run); error != 0)
    return system_problem(port.status().name, "cannot inject the probe frame", error, "needs Linux 5.18 or newer");
  return Done{};
}

/// Why a probe may end elsewhere; other frames of the port count under other reasons meanwhile.
constexpr std::array kProbeFates{PENSTOCK_STEER_PORT_DISABLED, PENSTOCK_STEER_STALE_HEARTBEAT,
                                 PENSTOCK_STEER_NO_SOCKET};

std::string explain(const SteerCounters& before, const SteerCounters& after) {
  for (const penstock_steer_reason fate : kProbeFates)
    if (after[fate] != before[fate])
      return "the program passed it to the kernel: " + std::string{kSteerReasons.at(fate).meaning};
  if (after[PENSTOCK_STEER_REDIRECTED_PROBE] != before[PENSTOCK_STEER_REDIRECTED_PROBE])
    return "the program redirected it, but the dataplane did not see it";
  return "the program did not run";
}

}  // namespace

Status probe_port(const SteerPort& port, const std::function<std::uint64_t()>& probes_seen, Duration at_most) {
  const auto before = port.counters();
  if (!before) return before.error();
  const std::uint64_t seen = probes_seen();
  const auto deadline = std::chrono::steady_clock::now() + at_most;
  auto next_send = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() < deadline) {
    if (std::chrono::steady_clock::now() >= next_send) {
      if (auto sent = send_probe(port); !sent) return sent;
      next_send += kResend;
    }
    if (probes_seen() != seen) return Done{};
    std::this_thread::sleep_for(kPoll);
  }
  const auto after = port.counters();
  if (!after) return after.error();
  return Problem{port.status().name, "self-test: no probe frame reached the dataplane, " + explain(*before, *after),
                 "no traffic of this port is steered; `penstock status` shows sockets and heartbeats"};
}

}  // namespace penstock::kernel
