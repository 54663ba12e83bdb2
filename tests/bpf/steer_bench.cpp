// What one run of the steering program costs, by path, as the kernel's test-run measures it.
//
// Model     kRounds medians of `repeat` runs over one hot frame each; no driver, no redirect carried out, caches warm.
//           Ratios to a program that only passes are what counts; the machine is named by the caller's page.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/bpf/steer_bed.h"

namespace penstock::test {
namespace {

constexpr int kRounds = 21;

struct Measured {
  double median;
  double deviation;  // median absolute deviation
};

template <typename Run>
Measured measure(Run&& run) {
  std::vector<double> rounds;
  for (int i = 0; i < kRounds; ++i) rounds.push_back(run());
  std::sort(rounds.begin(), rounds.end());
  const double median = rounds[rounds.size() / 2];
  std::vector<double> distance;
  for (const double each : rounds) distance.push_back(std::abs(each - median));
  std::sort(distance.begin(), distance.end());
  return {median, distance[distance.size() / 2]};
}

double empty_program(const Bytes& frame, std::uint32_t repeat) {
  static const int program = [] {
    const bpf_insn code[2] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, XDP_PASS}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    return bpf_prog_load(BPF_PROG_TYPE_XDP, "empty", "GPL", code, 2, nullptr);
  }();
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame.data(), .data_size_in = static_cast<__u32>(frame.size()),
              .repeat = static_cast<int>(repeat));
  require(bpf_prog_test_run_opts(program, &options) == 0, "test run");
  return options.duration;
}

const Bytes& frame_of(const std::vector<SteerCase>& cases, std::string_view name) {
  const auto found = std::find_if(cases.begin(), cases.end(), [&](const SteerCase& each) { return each.name == name; });
  require(found != cases.end(), "no such case");
  return found->frame;
}

void row(const char* path, const Measured& measured, double empty) {
  std::printf("%-44s %8.0f %6.0f %8.1f\n", path, measured.median, measured.deviation, measured.median / empty);
}

// The services are FullNAT from now on. Keys first: an update moves its entry, so that iteration meets it again.
void forget_dnat(const SteerBed& bed) {
  std::vector<penstock_steer_key> keys;
  penstock_steer_key key{};
  while (bpf_map_get_next_key(bed.map("steer_services"), keys.empty() ? nullptr : &keys.back(), &key) == 0)
    keys.push_back(key);
  const penstock_steer_value plain{};
  for (const penstock_steer_key& each : keys)
    require(bpf_map_update_elem(bed.map("steer_services"), &each, &plain, BPF_EXIST) == 0, "map update");
}

int run(std::uint32_t repeat, std::uint32_t services) {
  auto created = SteerBed::create();
  if (!created) {
    std::fprintf(stderr, "%s\n", created.error().text().c_str());
    return 1;
  }
  SteerBed bed = std::move(created).value();
  for (std::uint32_t i = 0; i < services; ++i) {
    penstock_steer_key key{};
    const IpAddress filler = IpAddress::v4(10, 97, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
    std::copy(filler.octets.begin(), filler.octets.end(), key.addr.octets);
    key.port.wire = port(80).wire();
    key.ip_proto = 6;
    const penstock_steer_value value{};
    require(bpf_map_update_elem(bed.map("steer_services"), &key, &value, BPF_ANY) == 0, "map update");
  }
  const auto cases = steer_cases();
  const auto of = [&](std::string_view name) {
    const Bytes& frame = frame_of(cases, name);
    bed.beat(0, 0);
    return measure([&] { return static_cast<double>(bed.nanoseconds(frame, repeat)); });
  };
  const Measured empty = measure([&] { return empty_program(cases.front().frame, repeat); });
  std::printf("%u other services, %u runs a round, %d rounds\n", services, repeat, kRounds);
  std::printf("%-44s %8s %6s %8s\n", "path", "ns", "+-", "x empty");
  row("empty program", empty, empty.median);
  row("not IP", of("lldp"), empty.median);
  row("not mesh, TCP over IPv4, 4 lookups", of("tcp4_other_address"), empty.median);
  row("not mesh, TCP over IPv6, 4 lookups", of("tcp6_other_address"), empty.median);
  row("service of a DNAT listener, TCP over IPv4", of("tcp4_data_to_service"), empty.median);
  forget_dnat(bed);
  row("service, TCP over IPv4", of("tcp4_data_to_service"), empty.median);
  row("service, TCP over IPv6", of("tcp6_syn_to_service"), empty.median);
  row("service, UDP over IPv4", of("udp4_to_service"), empty.median);
  row("node range, TCP over IPv4", of("tcp4_reply_to_range_low"), empty.median);
  row("DNAT source, TCP over IPv4", of("tcp4_reply_of_dnat_endpoint"), empty.median);
  bed.clear_dnat_flows();
  row("DNAT source, of a direct connection", of("tcp4_reply_of_dnat_endpoint"), empty.median);
  row("ICMP error about a service", of("icmp4_too_big_about_service"), empty.median);
  auto config = bed.config();
  config.flags = 0;
  bed.set_config(config);
  row("not mesh, TCP over IPv4, no DNAT, 2 lookups", of("tcp4_other_address"), empty.median);
  bed.never_beat(0);
  (void)bed.run(frame_of(cases, "tcp4_syn_to_service"));
  row("service, TCP data, a kernel flow", of("tcp4_data_to_service"), empty.median);
  bed.set_enabled(false);
  row("port disabled", of("tcp4_data_to_service"), empty.median);
  return 0;
}

}  // namespace
}  // namespace penstock::test

// steer_bench [RUNS_A_ROUND [OTHER_SERVICES]]
int main(int argc, char** argv) {
  const auto number = [&](int at, unsigned long otherwise) {
    return static_cast<std::uint32_t>(argc > at ? std::strtoul(argv[at], nullptr, 10) : otherwise);
  };
  return penstock::test::run(std::max(1u, number(1, 100'000)), std::min(60'000u, number(2, 1000)));
}
