#include "l7/route/compile/compiler.h"

#include <tbb/parallel_for.h>

#include <map>
#include <memory>
#include <optional>

#include "l7/route/compile/host_builder.h"
#include "l7/route/compile/table_builder.h"
#include "l7/route/compile/validate.h"

namespace penstock::route {
namespace {

/// A host on its way: built, then finished with its database.
struct Job {
  std::unique_ptr<HostBuilder> builder;
  std::uint64_t database_hash{0};
  std::shared_ptr<const DatabaseImage> database;
};

std::vector<Job> build_hosts(const RouteTable& table, const ClusterNames& clusters, std::size_t automaton_states) {
  std::vector<Job> jobs(table.virtual_hosts.size());
  tbb::parallel_for(std::size_t{0}, jobs.size(), [&](std::size_t i) {
    jobs[i].builder = std::make_unique<HostBuilder>(table.virtual_hosts[i], clusters, automaton_states);
    if (!jobs[i].builder->expressions().empty()) jobs[i].database_hash = database_hash(jobs[i].builder->expressions());
  });
  return jobs;
}

/// Compiles each missing set of expressions once, whatever number of hosts has it.
std::size_t compile_missing(std::vector<Job>& jobs, DatabaseCache& cache) {
  std::map<std::uint64_t, const Job*> missing;
  for (const Job& job : jobs)
    if (job.database_hash != 0 && job.database == nullptr) missing.emplace(job.database_hash, &job);
  std::vector<std::pair<std::uint64_t, const Job*>> work{missing.begin(), missing.end()};
  std::vector<std::shared_ptr<const DatabaseImage>> done(work.size());
  tbb::parallel_for(std::size_t{0}, work.size(), [&](std::size_t i) {
    done[i] = std::make_shared<DatabaseImage>(compile_database(work[i].second->builder->expressions()));
  });
  for (std::size_t i = 0; i < work.size(); ++i) cache.insert(work[i].first, done[i]);
  for (Job& job : jobs)
    if (job.database_hash != 0 && job.database == nullptr) job.database = cache.find(job.database_hash);
  return work.size();
}

}  // namespace

Result<Compiled, Problems> Compiler::compile(const RouteTable& table, Databases databases,
                                             std::size_t automaton_states) {
  if (Problems problems = validate(table); !problems.empty()) return problems;
  const ClusterNames clusters = number_clusters(table);
  std::vector<Job> jobs = build_hosts(table, clusters, automaton_states);
  Compiled compiled;
  CompileReport& report = compiled.report;
  for (Job& job : jobs)
    if (job.database_hash != 0 && (job.database = cache_.find(job.database_hash)) != nullptr) ++report.databases_reused;
  if (databases == Databases::all) report.databases_compiled = compile_missing(jobs, cache_);
  std::vector<Image> images(jobs.size());
  tbb::parallel_for(std::size_t{0}, jobs.size(),
                    [&](std::size_t i) { images[i] = jobs[i].builder->finish(jobs[i].database.get()); });
  std::size_t octets = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    octets += images[i].bytes().size();
    report.routes += table.virtual_hosts[i].routes.size();
    if (jobs[i].database_hash != 0 && jobs[i].database == nullptr) ++report.databases_missing;
  }
  report.hosts = jobs.size();
  if (octets > kTableOctetsMax)
    return Problems{{"route table",
                     std::to_string(octets) + " octets when compiled, at most " + std::to_string(kTableOctetsMax),
                     "split it over several listeners"}};
  if (databases == Databases::all) cache_.forget_unused();
  compiled.image = build_table(table, clusters, images);
  return compiled;
}

}  // namespace penstock::route
