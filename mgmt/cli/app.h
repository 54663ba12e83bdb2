// app.h - penstock's command line as one description: parsing, help, completion and the guide come from it.
#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>

#include "mgmt/cli/commands.h"
#include "mgmt/cli/top.h"

namespace penstock::cli {

/// Where parsing leaves its results; outlives the App.
struct Invocation {
  Context context;
  StatusOptions status;
  TopOptions top;
  FlowsOptions flows;
  bool nonzero{};
  bool dry_run{};
  std::string check_file;
  std::string apply_file{kDefaultConfig};
  std::string shell;
  std::function<int()> run;  ///< of the chosen command
};
[[nodiscard]] std::unique_ptr<CLI::App> make_app(Invocation& into);

}  // namespace penstock::cli
