// completion.h - completion scripts for shells, made from the command line's own description.
#pragma once
#include <string>
#include <string_view>

namespace CLI {
class App;
}

namespace penstock::cli {

/// `shell`: bash, zsh or fish.
[[nodiscard]] std::string completion_script(const CLI::App& app, std::string_view shell);
/// docs/guide/cli.md.
[[nodiscard]] std::string cli_doc(const CLI::App& app);

}  // namespace penstock::cli
