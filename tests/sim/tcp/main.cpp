// tcp_sim - runs seeds through the simulated network and says what did not hold.
//
// Usage  tcp_sim --seeds N [--first-seed S] [--variants all|one]     exit 0: every invariant held in every run
//        tcp_sim --replay SEED [--variant NAME] [--pcap FILE]        one run, told in detail
//        tcp_sim --shrink SEED [--variant NAME]                      takes away impairments while it still fails
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <optional>

#include "tests/sim/tcp/world.h"

namespace penstock::tcpsim {
namespace {

constexpr std::uint64_t kNone = ~std::uint64_t{0};

struct Sums {
  std::uint64_t runs{}, failed{}, events{}, packets{}, lost{}, octets{}, retransmitted{}, timeouts{}, recoveries{};
  std::uint64_t connections{}, handshakes_failed{}, virtual_us{};
  void add(const Result& r) {
    ++runs;
    events += r.events, packets += r.packets, lost += r.lost, octets += r.octets, retransmitted += r.retransmitted;
    timeouts += r.timeouts, recoveries += r.recoveries, connections += r.connections;
    handshakes_failed += r.handshakes_failed, virtual_us += r.virtual_us;
  }
};

Result run_one(std::uint64_t seed, Variant variant, std::uint32_t disabled, Pcapng* capture = nullptr) {
  const Scenario scenario = make_scenario(seed, variant, disabled);
  return World{scenario, capture}.run();
}

bool save(const Scenario& scenario, const std::string& path) {
  Pcapng capture;
  static_cast<void>(World{scenario, &capture}.run());
  return capture.write_file(path);
}

void tell_failure(std::uint64_t seed, Variant variant, const Result& result) {
  const std::string path = "tcp_sim-" + std::to_string(seed) + "-" + name_of(variant) + ".pcapng";
  const bool saved = save(make_scenario(seed, variant, 0), path);
  std::printf("FAILED seed %llu variant %s: %s\n  replay: tcp_sim --replay %llu --variant %s; packets in %s\n",
              static_cast<unsigned long long>(seed), name_of(variant).c_str(), result.failure.c_str(),
              static_cast<unsigned long long>(seed), name_of(variant).c_str(), saved ? path.c_str() : "(not written)");
}

int run_seeds(std::uint64_t first, std::uint64_t count, bool all_variants) {
  constexpr std::uint64_t kToldMax = 10;
  Sums sums;
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    for (const Variant variant : kVariants) {
      // One variant per seed: the plain run and the five others take turns.
      if (!all_variants && static_cast<std::uint64_t>(variant) != seed % kVariants.size()) continue;
      const Result result = run_one(seed, variant, 0);
      sums.add(result);
      if (result.failure.empty()) continue;
      if (++sums.failed <= kToldMax) tell_failure(seed, variant, result);
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf(
      "tcp_sim: %llu runs, %llu failed, %llu connections (%llu handshakes timed out), %llu octets, %llu packets "
      "(%llu lost), %llu retransmitted, %llu timeouts, %llu recoveries, %llu events, %.1f virtual hours, %.1f s\n",
      static_cast<unsigned long long>(sums.runs), static_cast<unsigned long long>(sums.failed),
      static_cast<unsigned long long>(sums.connections), static_cast<unsigned long long>(sums.handshakes_failed),
      static_cast<unsigned long long>(sums.octets), static_cast<unsigned long long>(sums.packets),
      static_cast<unsigned long long>(sums.lost), static_cast<unsigned long long>(sums.retransmitted),
      static_cast<unsigned long long>(sums.timeouts), static_cast<unsigned long long>(sums.recoveries),
      static_cast<unsigned long long>(sums.events), static_cast<double>(sums.virtual_us) / 3.6e9, seconds);
  return sums.failed == 0 ? 0 : 1;
}

int replay(std::uint64_t seed, Variant variant, const std::string& pcap) {
  const Scenario scenario = make_scenario(seed, variant, 0);
  std::printf("%s\n", describe(scenario).c_str());
  Pcapng capture;
  const Result result = World{scenario, &capture}.run();
  if (!pcap.empty() && !capture.write_file(pcap)) std::printf("cannot write %s\n", pcap.c_str());
  std::printf("%s; %llu packets, %llu lost, %llu events, %llu timeouts, %.6f virtual seconds\n",
              result.failure.empty() ? "held" : ("FAILED: " + result.failure).c_str(),
              static_cast<unsigned long long>(result.packets), static_cast<unsigned long long>(result.lost),
              static_cast<unsigned long long>(result.events), static_cast<unsigned long long>(result.timeouts),
              static_cast<double>(result.virtual_us) / 1e6);
  return result.failure.empty() ? 0 : 1;
}

int shrink(std::uint64_t seed, Variant variant) {
  if (run_one(seed, variant, 0).failure.empty()) {
    std::printf("seed %llu does not fail\n", static_cast<unsigned long long>(seed));
    return 0;
  }
  std::uint32_t disabled = 0;
  for (std::size_t i = 0; i < kImpairmentCount; ++i) {
    const std::uint32_t without = disabled | 1u << i;
    if (!run_one(seed, variant, without).failure.empty()) disabled = without;
  }
  const Scenario scenario = make_scenario(seed, variant, disabled);
  const Result result = World{scenario}.run();
  const std::string path = "tcp_sim-" + std::to_string(seed) + "-shrunk.pcapng";
  const bool saved = save(scenario, path);
  std::printf("%s\nFAILED: %s\npackets in %s\nnot needed:", describe(scenario).c_str(), result.failure.c_str(),
              saved ? path.c_str() : "(not written)");
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
  CLI::App options{"TCP engine against itself in a simulated network"};
  std::uint64_t seeds = 0, first = 1, replay_seed = kNone, shrink_seed = kNone;
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
  CLI11_PARSE(options, argc, argv);
  if (peer == "lwip") {
    std::fprintf(stderr, "tcp_sim: this build has no lwIP peer\n");
    return 2;
  }
  const std::optional<Variant> variant = variant_named(variant_name);
  if (!variant) {
    std::fprintf(stderr, "tcp_sim: no variant %s\n", variant_name.c_str());
    return 2;
  }
  if (replay_seed != kNone) return replay(replay_seed, *variant, pcap);
  if (shrink_seed != kNone) return shrink(shrink_seed, *variant);
  if (seeds == 0) {
    std::fprintf(stderr, "tcp_sim: --seeds, --replay or --shrink is needed\n");
    return 2;
  }
  return run_seeds(first, seeds, variants == "all");
}

}  // namespace
}  // namespace penstock::tcpsim

int main(int argc, char** argv) { return penstock::tcpsim::run(argc, argv); }
