// tcp_sim - runs seeds through the simulated network and says what did not hold.
//
// Usage  tcp_sim --seeds N [--first-seed S] [--variants all|one]     exit 0: every invariant held in every run
//        tcp_sim --replay SEED [--variant NAME] [--pcap FILE]        one run, told in detail
//        tcp_sim --shrink SEED [--variant NAME]                      takes away impairments while it still fails
//        --peer lwip                                                 each with lwIP at one end
//        --transfer-octets N                                         each seed moves N octets once
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <optional>

#include "tests/sim/tcp/crash_note.h"
#include "tests/sim/tcp/world.h"

namespace penstock::tcpsim {
namespace {

constexpr std::uint64_t kNone = ~std::uint64_t{0};

unsigned long long wide(std::uint64_t value) { return value; }

struct Sums {
  std::uint64_t runs{}, failed{}, events{}, packets{}, lost{}, octets{}, connections{}, handshakes_failed{}, given_up{},
      excused{}, virtual_us{};
  HostCounts counts;
  void add(const Result& r) {
    ++runs;
    events += r.events, packets += r.packets, lost += r.lost, octets += r.octets;
    connections += r.connections, handshakes_failed += r.handshakes_failed, given_up += r.given_up,
        excused += r.excused, virtual_us += r.virtual_us;
    counts.add(r.counts);
  }
};

/// What every run of this program has in common.
struct Session {
  Workload workload;
  PoolShelf shelf;

  Result run(std::uint64_t seed, Variant variant, std::uint32_t disabled, Pcapng* capture = nullptr) {
    const std::string options = workload_options();
    crash_note::set(seed, name_of(variant), options, capture);
    const Scenario scenario = make_scenario(seed, variant, disabled, workload);
    const Result result = World{scenario, capture, &shelf}.run();
    crash_note::clear();
    return result;
  }
  /// As they have to be repeated.
  [[nodiscard]] std::string workload_options() const {
    std::string out = workload.lwip ? " --peer lwip" : "";
    if (workload.transfer_octets != 0) out += " --transfer-octets " + std::to_string(workload.transfer_octets);
    return out;
  }
};

/// Runs once more and writes the packets; says where they are.
std::string save(Session& session, std::uint64_t seed, Variant variant, std::uint32_t disabled) {
  const std::string path = "tcp_sim-" + std::to_string(seed) + "-" + name_of(variant) +
                           (session.workload.lwip ? "-lwip" : "") + (disabled != 0 ? "-shrunk" : "") + ".pcapng";
  Pcapng capture;
  static_cast<void>(session.run(seed, variant, disabled, &capture));
  return capture.write_file(path) ? path : "(cannot write " + path + ")";
}

void tell_failure(Session& session, std::uint64_t seed, Variant variant, const Result& result) {
  const std::string name = name_of(variant), path = save(session, seed, variant, 0);
  std::printf("FAILED seed %llu variant %s: %s\n  replay: tcp_sim --replay %llu --variant %s%s; packets in %s\n",
              wide(seed), name.c_str(), result.failure.c_str(), wide(seed), name.c_str(),
              session.workload_options().c_str(), path.c_str());
}

void tell_sums(const Sums& sums, double seconds) {
  std::printf(
      "tcp_sim: %llu runs, %llu failed, %llu connections (%llu handshakes timed out, %llu given up and %llu disordered "
      "by lwIP), %llu "
      "octets, %llu packets "
      "(%llu lost), %llu retransmitted, %llu timeouts, %llu recoveries, %llu window probes, %llu tail probes, "
      "%llu events, %.1f virtual hours, %.1f s, %.0f runs/s\n",
      wide(sums.runs), wide(sums.failed), wide(sums.connections), wide(sums.handshakes_failed), wide(sums.given_up),
      wide(sums.excused), wide(sums.octets), wide(sums.packets), wide(sums.lost), wide(sums.counts.retransmitted),
      wide(sums.counts.timeouts), wide(sums.counts.recoveries), wide(sums.counts.window_probes),
      wide(sums.counts.tail_probes), wide(sums.events), static_cast<double>(sums.virtual_us) / 3.6e9, seconds,
      static_cast<double>(sums.runs) / seconds);
}

int run_seeds(Session& session, std::uint64_t first, std::uint64_t count, bool all_variants) {
  constexpr std::uint64_t kToldMax = 10;
  Sums sums;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    for (const Variant variant : kVariants) {
      // One variant per seed: the plain run and the five others take turns.
      if (!all_variants && static_cast<std::uint64_t>(variant) != seed % kVariants.size()) continue;
      const Result result = session.run(seed, variant, 0);
      sums.add(result);
      if (result.failure.empty()) continue;
      if (++sums.failed <= kToldMax) tell_failure(session, seed, variant, result);
    }
  }
  tell_sums(sums, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  return sums.failed == 0 ? 0 : 1;
}

int replay(Session& session, std::uint64_t seed, Variant variant, const std::string& pcap) {
  std::printf("%s\n", describe(make_scenario(seed, variant, 0, session.workload)).c_str());
  Pcapng capture;
  const Result result = session.run(seed, variant, 0, &capture);
  if (!pcap.empty() && !capture.write_file(pcap)) std::printf("cannot write %s\n", pcap.c_str());
  std::printf("%s; %llu packets, %llu lost, %llu events, %llu timeouts, %.6f virtual seconds\n",
              result.failure.empty() ? "held" : ("FAILED: " + result.failure).c_str(), wide(result.packets),
              wide(result.lost), wide(result.events), wide(result.counts.timeouts),
              static_cast<double>(result.virtual_us) / 1e6);
  return result.failure.empty() ? 0 : 1;
}

/// Takes impairments away, one by one, until none can go without the failure going too.
std::uint32_t smallest_failing(Session& session, std::uint64_t seed, Variant variant) {
  std::uint32_t disabled = 0;
  for (bool smaller = true; smaller;) {
    smaller = false;
    for (std::size_t i = 0; i < kImpairmentCount; ++i) {
      const std::uint32_t without = disabled | 1u << i;
      if (without == disabled || session.run(seed, variant, without).failure.empty()) continue;
      disabled = without;
      smaller = true;
    }
  }
  return disabled;
}

int shrink(Session& session, std::uint64_t seed, Variant variant) {
  if (session.run(seed, variant, 0).failure.empty()) {
    std::printf("seed %llu does not fail\n", wide(seed));
    return 0;
  }
  const std::uint32_t disabled = smallest_failing(session, seed, variant);
  const Result result = session.run(seed, variant, disabled);
  std::printf("%s\nFAILED: %s\npackets in %s\nnot needed:",
              describe(make_scenario(seed, variant, disabled, session.workload)).c_str(), result.failure.c_str(),
              save(session, seed, variant, disabled).c_str());
  for (std::size_t i = 0; i < kImpairmentCount; ++i)
    if ((disabled >> i & 1u) != 0) std::printf(" %s", name_of(static_cast<Impairment>(i)).c_str());
  std::printf("\n");
  return 1;
}

std::optional<Variant> variant_named(const std::string& name) {
  for (const Variant variant : kVariants)
    if (name_of(variant) == name) return variant;
  return std::nullopt;
}

int run(int argc, char** argv) {
  crash_note::install();
  CLI::App options{"TCP engine against itself in a simulated network"};
  std::uint64_t seeds = 0, first = 1, replay_seed = kNone, shrink_seed = kNone;
  Session session;
  std::string peer = "self", variants = "all", variant_name = "plain", pcap;
  options.add_option("--seeds", seeds, "how many seeds to run");
  options.add_option("--first-seed", first, "the first of them");
  options.add_option("--variants", variants, "all: every clock and sequence variant of each seed; one: in turn")
      ->check(CLI::IsMember({"all", "one"}));
  options.add_option("--replay", replay_seed, "run one seed and tell about it");
  options.add_option("--shrink", shrink_seed, "find the impairments that a failing seed needs");
  options.add_option("--variant", variant_name, "of --replay and --shrink");
  options.add_option("--pcap", pcap, "of --replay: write the packets there");
  options.add_option("--peer", peer, "what is at the other end")->check(CLI::IsMember({"self", "lwip"}));
  options.add_option("--transfer-octets", session.workload.transfer_octets, "what each seed moves, once; 0: as drawn");
  CLI11_PARSE(options, argc, argv);
  session.workload.lwip = peer == "lwip";
  const std::optional<Variant> variant = variant_named(variant_name);
  if (!variant) {
    std::fprintf(stderr, "tcp_sim: no variant %s\n", variant_name.c_str());
    return 2;
  }
  if (replay_seed != kNone) return replay(session, replay_seed, *variant, pcap);
  if (shrink_seed != kNone) return shrink(session, shrink_seed, *variant);
  if (seeds == 0) {
    std::fprintf(stderr, "tcp_sim: --seeds, --replay or --shrink is needed\n");
    return 2;
  }
  return run_seeds(session, first, seeds, variants == "all");
}

}  // namespace
}  // namespace penstock::tcpsim

int main(int argc, char** argv) { return penstock::tcpsim::run(argc, argv); }
