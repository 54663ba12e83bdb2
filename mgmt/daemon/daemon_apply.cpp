// Applying configurations: by the API, by SIGHUP.
#include <spdlog/spdlog.h>

#include "mgmt/compile/diff.h"
#include "mgmt/config/loader.h"
#include "mgmt/daemon/clock.h"
#include "mgmt/daemon/daemon.h"
#include "mgmt/daemon/sd_notify.h"
#include "mgmt/daemon/start_check.h"

namespace penstock::daemon {
namespace {

constexpr const char* kBodyName = "configuration";

Problems cannot_change(const std::vector<std::string>& settings) {
  Problems problems;
  for (const std::string& setting : settings)
    problems.push_back({setting, "cannot change while running", "restart penstockd"});
  return problems;
}

}  // namespace

void Daemon::check(const std::string& yaml, std::function<void(Problems)> done) {
  const auto told = [done = std::move(done)](const api::ApplyResult& result) { done(result.problems); };
  jobs_.push_back({yaml, kBodyName, "check", true, true, told});
  wakeup_.notify();
}

void Daemon::apply(const std::string& yaml, bool dry_run, const std::string& who,
                   std::function<void(api::ApplyResult)> done) {
  jobs_.push_back({yaml, kBodyName, who, dry_run, false, std::move(done)});
  wakeup_.notify();
}

Task<void> Daemon::run_jobs() {
  while (!jobs_.empty() && started_up_) {
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    const api::ApplyResult result = co_await run_job(job);
    if (!job.dry_run) note_reload(result);
    if (result.applied && !result.changes.empty())
      spdlog::info("configuration {} applied for {}:\n{}", result.generation, job.who, result.changes);
    if (!result.problems.empty() && !job.dry_run) {
      spdlog::error("configuration of {} refused: {} problems", job.who, result.problems.size());
      for (const Problem& problem : result.problems) spdlog::error("  {}", problem.text());
    }
    if (job.who == "SIGHUP") sd_notify("READY=1");
    job.done(result);
  }
}

void Daemon::note_reload(const api::ApplyResult& result) {
  config_report_.last_reload_ok = result.problems.empty();
  config_report_.last_reload_seconds = unix_seconds();
  config_report_.last_error = result.problems.empty() ? "" : result.problems.front().text();
}

Task<api::ApplyResult> Daemon::run_job(const Job& job) {
  api::ApplyResult result;
  result.generation = config_report_.generation;
  result.epoch = publisher_->epoch_compiled();
  auto loaded = config::load_text(job.text, job.file_name, config::this_machine());
  if (!loaded) {
    result.problems = loaded.error();
    co_return result;
  }
  result.problems = large_frames_problems(*loaded);
  if (!result.problems.empty()) co_return result;
  if (job.check_only) {
    result.problems = co_await publisher_->check(std::move(*loaded));
    co_return result;
  }
  result.changes = compile::text(compile::diff(current_.config, *loaded));
  result.problems = cannot_change(compile::restart_needed(current_.config, *loaded));
  result.refused = !result.problems.empty();
  if (result.problems.empty() && job.dry_run) result.problems = co_await publisher_->check(*loaded);
  if (!result.problems.empty() || job.dry_run) co_return result;
  LoadedConfig next{job.text, std::move(*loaded)};
  api::ApplyResult taken = co_await take_over(std::move(next), std::move(result));
  co_return taken;
}

Task<api::ApplyResult> Daemon::take_over(LoadedConfig next, api::ApplyResult result) {
  const DataplaneClient::Pointer dataplane = client();
  // New ports first, so that the next hops of new endpoints can be found on them.
  const bool ports_change = next.config.ports != current_.config.ports;
  if (ports_change) {
    ports_->configure(next.config.ports, nullptr);
    co_await ports_->reconcile(dataplane, in_force_);
  }
  const DataplaneClient::Pointer in_force = in_force_ ? dataplane : DataplaneClient::Pointer{};
  auto outcome = co_await publisher_->apply(next.config, in_force, now());
  if (outcome.problems.empty()) {
    current_ = std::move(next);
    ++config_report_.generation;
    refresh_followers();
    persist();
  } else if (ports_change) {
    ports_->configure(current_.config.ports, nullptr);
    co_await ports_->reconcile(dataplane, in_force_);
  }
  result.applied = outcome.problems.empty();
  result.refused = outcome.refused;
  result.problems = std::move(outcome.problems);
  result.generation = config_report_.generation;
  result.epoch = publisher_->epoch_compiled();
  co_return result;
}

}  // namespace penstock::daemon
