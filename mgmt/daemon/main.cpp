// penstockd: command line, log, signals; the rest is daemon.h.
#include <signal.h>
#include <spdlog/sinks/dup_filter_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <iostream>

#include "mgmt/config/loader.h"
#include "mgmt/daemon/daemon.h"
#include "mgmt/daemon/files.h"
#include "mgmt/daemon/start_check.h"

namespace penstock::daemon {
namespace {

namespace asio = boost::asio;

/// Text on stderr with RFC 3339 times; a line that repeats itself is counted instead of written.
void set_up_log(const std::string& level) {
  auto repeats = std::make_shared<spdlog::sinks::dup_filter_sink_st>(std::chrono::seconds{5});
  repeats->add_sink(std::make_shared<spdlog::sinks::stderr_sink_st>());
  auto logger = std::make_shared<spdlog::logger>("penstockd", std::move(repeats));
  logger->set_level(spdlog::level::from_str(level));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  logger->flush_on(spdlog::level::trace);
  spdlog::set_default_logger(std::move(logger));
}

void list(const Problems& problems, const std::string& headline) {
  std::cerr << headline << "\n";
  for (const Problem& problem : problems) std::cerr << "  " << problem.text() << "\n";
}

/// The file's configuration; or, for a dataplane that is running, the last good one, with the file's problems.
Result<LoadedConfig, Problems> load(const Options& options, std::string& config_error) {
  const auto text = read_file(options.config_file);
  auto loaded = text ? config::load_text(*text, options.config_file, config::this_machine())
                     : Result<config::Config, Problems>{
                           Problems{{options.config_file, "cannot be read", "name the file with --config"}}};
  if (loaded) return LoadedConfig{*text, std::move(*loaded)};
  const auto last_good = read_file(options.runtime_dir + "/" + kLastGood);
  auto channel = control::Channel::connect(options.runtime_dir + "/" + kDataplaneSocket);
  if (!last_good || !channel) return loaded.error();
  auto kept = config::load_text(*last_good, kLastGood, config::this_machine());
  if (!kept) return loaded.error();
  list(loaded.error(), "configuration is wrong; going on with the last good one, because the dataplane is running:");
  config_error = loaded.error().front().text();
  return LoadedConfig{*last_good, std::move(*kept)};
}

Task<void> run(Daemon& daemon, int& exit_code) {
  const Problems problems = co_await daemon.start();
  if (!problems.empty()) {
    list(problems, "penstockd cannot start:");
    exit_code = kExitStartFailed;
    co_return;
  }
  co_await daemon.main_loop();
}

void wait_for_signals(asio::signal_set& signals, Daemon& daemon) {
  signals.async_wait([&](const boost::system::error_code& error, int number) {
    if (error) return;
    if (number == SIGHUP)
      daemon.request_reload();
    else
      daemon.request_stop();
    wait_for_signals(signals, daemon);
  });
}

int run_daemon(const Options& options) {
  std::string config_error;
  auto loaded = load(options, config_error);
  if (!loaded) {
    list(loaded.error(), "configuration is wrong:");
    return kExitBadConfig;
  }
  const std::string runtime_dir = loaded->config.node.runtime_dir;
  const std::string dataplane = find_dataplane(options.dataplane);
  const Problems problems = start_problems(loaded->config, dataplane, runtime_dir + "/" + kApiSocket);
  if (!problems.empty()) {
    list(problems, "penstockd cannot start:");
    return kExitStartFailed;
  }
  std::error_code error;
  std::filesystem::create_directories(runtime_dir, error);
  asio::io_context loop{1};
  asio::signal_set signals{loop, SIGHUP, SIGTERM, SIGINT};
  ::signal(SIGPIPE, SIG_IGN);
  Daemon daemon{loop, options, std::move(*loaded), dataplane};
  if (!config_error.empty()) daemon.note_config_error(config_error);
  wait_for_signals(signals, daemon);
  int exit_code = 0;
  asio::co_spawn(loop, run(daemon, exit_code), [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  loop.run();
  return exit_code;
}

}  // namespace
}  // namespace penstock::daemon

int main(int argc, char** argv) {
  penstock::daemon::Options options;
  int exit_code = 0;
  if (!penstock::daemon::parse_options(argc, argv, options, exit_code)) return exit_code;
  penstock::daemon::set_up_log(options.log_level);
  return penstock::daemon::run_daemon(options);
}
