#include <pthread.h>

#include "dataplane/app/options.h"
#include "dataplane/control/limits.h"

namespace penstock::app {
namespace {

constexpr std::size_t kFlowsMin = 16;
constexpr std::size_t kFlowsMax = std::size_t{1} << 26;
constexpr std::size_t kProxyConnectionsMin = 16;

/// True when a thread of ours may run there.
bool usable_cpu(int cpu) {
  if (cpu < 0 || cpu >= CPU_SETSIZE) return false;
  cpu_set_t before;
  cpu_set_t wanted;
  CPU_ZERO(&wanted);
  CPU_SET(cpu, &wanted);
  if (pthread_getaffinity_np(pthread_self(), sizeof before, &before) != 0) return false;
  const bool usable = pthread_setaffinity_np(pthread_self(), sizeof wanted, &wanted) == 0;
  pthread_setaffinity_np(pthread_self(), sizeof before, &before);
  return usable;
}

}  // namespace

Problems check_options(const Options& options) {
  Problems problems;
  if (options.workers < 1 || options.workers > control::kWorkerMax)
    problems.push_back({"--workers", std::to_string(options.workers) + " workers", "1 to 16 are possible"});
  if (!options.cpus.empty() && options.cpus.size() != options.workers)
    problems.push_back(
        {"--cpus", std::to_string(options.cpus.size()) + " CPUs for " + std::to_string(options.workers) + " workers",
         "give one CPU per worker, or none"});
  for (const int cpu : options.cpus)
    if (!usable_cpu(cpu))
      problems.push_back({"--cpus", "CPU " + std::to_string(cpu) + " does not exist or is not allowed for us",
                          "see /proc/self/status, Cpus_allowed_list"});
  if (options.flows < kFlowsMin || options.flows > kFlowsMax)
    problems.push_back(
        {"--flows", std::to_string(options.flows) + " connections per worker", "16 to 67108864 are possible"});
  if (options.proxy_connections < kProxyConnectionsMin || options.proxy_connections > control::kProxyConnectionMax)
    problems.push_back({"--proxy-connections",
                        std::to_string(options.proxy_connections) + " proxied connections per worker",
                        "16 to " + std::to_string(control::kProxyConnectionMax) + " are possible"});
  if (options.workers >= 1 && options.workers <= control::kWorkerMax)
    for (Problem& problem : io::DpdkRuntime::check(options.runtime())) problems.push_back(std::move(problem));
  return problems;
}

}  // namespace penstock::app
