// What one run of the steering program costs, by path, as the kernel's test-run measures it.
//
// Model     kRounds medians of `repeat` runs over one hot frame each; no driver, no redirect carried out, caches warm.
//           Ratios to a program that only passes are what counts; the machine is named by the caller's page.
// Forwards  a forwarded frame is changed where it lies, and the next run gets it so. Slots therefore translate a frame
//           into itself, and a payload is chosen so that a completed checksum looks partial again. What still runs out
//           are its hops: such rows are made of kCalls calls of kHops runs.
#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "bpf/lib/parse.h"
#include "dataplane/wire/checksum.h"
#include "tests/bpf/steer_bed.h"
#include "tests/support/tsc.h"

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
  std::printf("%-44s %8.0f %6.0f %8.1f %8.0f\n", path, measured.median, measured.deviation, measured.median / empty,
              measured.median * tsc_per_ns());
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

// `services` others.
void add_services(const SteerBed& bed, std::uint32_t services) {
  for (std::uint32_t i = 0; i < services; ++i) {
    penstock_steer_key key{};
    const IpAddress filler = IpAddress::v4(10, 97, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i));
    std::copy(filler.octets.begin(), filler.octets.end(), key.addr.octets);
    key.port.wire = port(80).wire();
    key.ip_proto = 6;
    const penstock_steer_value value{};
    require(bpf_map_update_elem(bed.map("steer_services"), &key, &value, BPF_ANY) == 0, "map update");
  }
}

constexpr std::uint32_t kHops = 200;
constexpr std::uint32_t kCalls = 10;  // each costs milliseconds of the kernel's time beside the runs

PacketBuilder forwarded_packet(bool v4) {
  PacketBuilder out;
  if (v4)
    out.ipv4(kClient4, kVip4);
  else
    out.ipv6(kClient6, kVip6);
  return out.ttl(255).tcp(40000, kServicePort, "A");
}

// The frame's checksum is partial, and so it is when it was completed: the payload's last word makes up for it.
Bytes always_partial(std::size_t payload_octets) {
  Bytes frame = forwarded_packet(true).payload_octets(payload_octets).checksum(ChecksumMode::partial).build();
  const ByteSpan segment = ByteSpan{frame}.subspan(14 + 20);
  const std::uint64_t pseudo = load_be<std::uint16_t>(segment, 16).wire();
  store_be(segment, 16, Be16{});
  store_be(segment, segment.size() - 2, Be16{});
  const std::uint64_t wanted = static_cast<std::uint16_t>(~wire::fold(2 * pseudo));
  const std::uint64_t rest = wire::sum_of(segment);
  store_be(segment, segment.size() - 2,
           Be16::from_wire(wire::fold(wanted + static_cast<std::uint16_t>(~wire::fold(rest)))));
  store_be(segment, 16, Be16::from_wire(static_cast<std::uint16_t>(pseudo)));
  return frame;
}

// `frame` is forwarded into itself. The mean over at most kCalls * kHops runs.
double forwarded(SteerBed& bed, const Bytes& frame, std::uint32_t repeat) {
  std::uint64_t sum = 0;
  const std::uint32_t calls = std::clamp(repeat / kHops, 1u, kCalls);
  for (std::uint32_t i = 0; i < calls; ++i) sum += bed.nanoseconds(frame, kHops);
  return static_cast<double>(sum) / calls;
}

void install(SteerBed& bed, const Bytes& frame, std::uint32_t index) {
  penstock_packet packet{};
  const auto* data = reinterpret_cast<const __u8*>(frame.data());
  require(penstock_parse_frame(data, data + frame.size(), static_cast<__u32>(frame.size()), &packet) == PENSTOCK_PARSED,
          "the frame does not parse");
  penstock_forward_slot slot{};
  slot.mtu = 1500;
  slot.src = packet.flow.src;
  slot.dst = packet.flow.dst;
  slot.src_port = packet.flow.src_port;
  slot.dst_port = packet.flow.dst_port;
  slot.flags = frame.at(12) == std::byte{0x86} ? PENSTOCK_FORWARD_V6 : 0;
  bed.forward(packet.flow, index, slot);
  (void)bed.run(frame);
  require(bed.slot(index).packets == 1, "the frame is not forwarded");
}

// Tier X; the services are FullNAT.
void forward_rows(SteerBed& bed, std::uint32_t repeat, double empty) {
  bed.beat(0, 0);
  const Bytes data = forwarded_packet(true).payload_octets(64).build();
  const auto service = [&] { return static_cast<double>(bed.nanoseconds(data, repeat)); };
  bed.set_device(0, true);
  row("service, TCP over IPv4, no flow is forwarded", measure(service), empty);
  for (__u16 i = 0; i < 20'000; ++i) {  // other flows
    penstock_flow_key other{};
    other.src_port.wire = i;
    bed.set_entry(other, {i, 1});
  }
  row("service, TCP over IPv4, 20000 others are", measure(service), empty);
  const auto forwarded_row = [&](const char* path, const Bytes& frame) {
    install(bed, frame, 60'000);
    const auto transport = [](const Bytes& of) { return Bytes{of.begin() + 14 + 20, of.end()}; };
    require(frame.at(12) != std::byte{8} || transport(bed.output()) == transport(frame), "the next run's is another");
    row(path, measure([&] { return forwarded(bed, frame, repeat); }), empty);
  };
  forwarded_row("forwarded, TCP over IPv4, 64 octets", data);
  forwarded_row("forwarded, partial checksum, 64 octets", always_partial(64));
  forwarded_row("forwarded, partial checksum, 1460 octets", always_partial(1460));
  forwarded_row("forwarded, TCP over IPv6, 64 octets", forwarded_packet(false).payload_octets(64).build());
}

int run(std::uint32_t repeat, std::uint32_t services) {
  auto created = SteerBed::create();
  if (!created) {
    std::fprintf(stderr, "%s\n", created.error().text().c_str());
    return 1;
  }
  SteerBed bed = std::move(created).value();
  add_services(bed, services);
  const auto cases = steer_cases();
  const auto of = [&](std::string_view name) {
    const Bytes& frame = frame_of(cases, name);
    bed.beat(0, 0);
    return measure([&] { return static_cast<double>(bed.nanoseconds(frame, repeat)); });
  };
  const Measured empty = measure([&] { return empty_program(cases.front().frame, repeat); });
  std::printf("%u other services, %u runs a round, %d rounds\n", services, repeat, kRounds);
  std::printf("%-44s %8s %6s %8s %8s\n", "path", "ns", "+-", "x empty", "cycles");
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
  SteerBed fresh = std::move(SteerBed::create()).value();
  add_services(fresh, services);
  forget_dnat(fresh);
  forward_rows(fresh, repeat, empty.median);
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
