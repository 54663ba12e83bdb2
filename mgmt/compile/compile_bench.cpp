// Compile time of 1,000 services with 10 endpoints each: from nothing, and after one endpoint changed.
#include <benchmark/benchmark.h>

#include "dataplane/control/snapshot_view.h"
#include "mgmt/compile/compiler.h"
#include "mgmt/compile/test_config.h"

namespace penstock::compile {
namespace {

void first_compile(benchmark::State& state) {
  const config::Config config = large_config(1000, 10);
  for (auto _ : state) {
    Compiler compiler;
    auto compiled = compiler.compile(config);
    require(compiled.ok(), "compile");
    benchmark::DoNotOptimize(compiled->content.maglev.data());
  }
}
BENCHMARK(first_compile)->Unit(benchmark::kMillisecond)->UseRealTime();

void one_endpoint_changed(benchmark::State& state) {
  config::Config config = large_config(1000, 10);
  Compiler compiler;
  require(compiler.compile(config).ok(), "compile");
  for (auto _ : state) {
    auto& weight = config.clusters[500].endpoints[5].weight;
    weight = weight == 10 ? 20 : 10;
    auto compiled = compiler.compile(config);
    require(compiled.ok(), "compile");
    benchmark::DoNotOptimize(compiled->content.maglev.data());
  }
}
BENCHMARK(one_endpoint_changed)->Unit(benchmark::kMillisecond)->UseRealTime();

void write_and_check(benchmark::State& state) {
  Compiler compiler;
  const auto compiled = compiler.compile(large_config(1000, 10));
  require(compiled.ok(), "compile");
  for (auto _ : state) {
    const auto bytes = control::write_snapshot(compiled->content, 1);
    const auto view = control::SnapshotView::open(bytes);
    require(view.ok(), "snapshot");
    state.counters["octets"] = static_cast<double>(bytes.size());
  }
}
BENCHMARK(write_and_check)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace penstock::compile
