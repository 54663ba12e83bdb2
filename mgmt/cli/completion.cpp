#include "mgmt/cli/completion.h"

#include <CLI/CLI.hpp>

namespace penstock::cli {
namespace {

std::vector<const CLI::App*> commands_of(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App*) { return true; });
}

/// Long names with their dashes.
std::vector<std::string> flags_of(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) out.push_back("--" + name);
  return out;
}

std::string join(const std::vector<std::string>& words, const char* between = " ") {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : between) + word;
  return out;
}

bool takes_file(const std::string& command) { return command == "check" || command == "apply"; }

std::vector<std::string> names_of(const CLI::App& app) {
  std::vector<std::string> out;
  for (const CLI::App* command : commands_of(app)) out.push_back(command->get_name());
  return out;
}

std::string quoted(std::string text) {
  for (std::size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4) text.replace(at, 1, "'\\''");
  return "'" + text + "'";
}

std::string bash_script(const CLI::App& app) {
  const std::string global = join(flags_of(app));
  std::string out =
      "# bash completion for penstock\n"
      "_penstock() {\n"
      "  local word=${COMP_WORDS[COMP_CWORD]} command= i\n"
      "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
      "    case ${COMP_WORDS[i]} in\n"
      "      " +
      join(names_of(app), "|") +
      ") command=${COMP_WORDS[i]}; break ;;\n"
      "    esac\n"
      "  done\n"
      "  case $command in\n"
      "    '') COMPREPLY=($(compgen -W \"" +
      join(names_of(app)) + " " + global + "\" -- \"$word\")) ;;\n";
  for (const CLI::App* command : commands_of(app)) {
    const std::string& name = command->get_name();
    const std::string words = join(flags_of(*command)) + " " + global;
    if (name == "completion")
      out += "    completion) COMPREPLY=($(compgen -W \"bash zsh fish\" -- \"$word\")) ;;\n";
    else if (takes_file(name))
      out += "    " + name + ") COMPREPLY=($(compgen -f -W \"" + words + "\" -- \"$word\")) ;;\n";
    else
      out += "    " + name + ") COMPREPLY=($(compgen -W \"" + words + "\" -- \"$word\")) ;;\n";
  }
  return out + "  esac\n}\ncomplete -F _penstock penstock\n";
}

// Works sourced and as a file `_penstock` in fpath: there the first call defines the function and must also run it.
std::string zsh_script(const CLI::App& app) {
  const std::string global = join(flags_of(app));
  std::string out =
      "#compdef penstock\n# zsh completion for penstock\n_penstock() {\n  local -a commands\n"
      "  local command= i\n  commands=(\n";
  for (const CLI::App* command : commands_of(app))
    out += "    " + quoted(command->get_name() + ":" + command->get_description()) + "\n";
  out += "  )\n  for (( i = 2; i < CURRENT; i++ )); do\n    case $words[i] in\n      " + join(names_of(app), "|") +
         ") command=$words[i]; break ;;\n    esac\n  done\n  case $command in\n    '') _describe command commands; "
         "compadd -- " +
         global + " ;;\n";
  for (const CLI::App* command : commands_of(app)) {
    const std::string& name = command->get_name();
    const std::string words = name == "completion" ? "bash zsh fish" : join(flags_of(*command)) + " " + global;
    out += "    " + name + ") compadd -- " + words + (takes_file(name) ? "; _files ;;\n" : " ;;\n");
  }
  return out +
         "  esac\n}\nif [[ $funcstack[1] == _penstock ]]; then\n  _penstock \"$@\"\nelse\n"
         "  compdef _penstock penstock\nfi\n";
}

std::string fish_script(const CLI::App& app) {
  std::string out = "# fish completion for penstock\n";
  for (const CLI::App* command : commands_of(app))
    out += "complete -c penstock -n __fish_use_subcommand -f -a " + command->get_name() + " -d " +
           quoted(command->get_description()) + "\n";
  const auto options = [&](const CLI::App& of, const std::string& condition) {
    for (const CLI::Option* option : of.get_options())
      for (const std::string& name : option->get_lnames())
        out += "complete -c penstock " + condition + "-l " + name + " -d " + quoted(option->get_description()) + "\n";
  };
  options(app, "");
  for (const CLI::App* command : commands_of(app))
    options(*command, "-n '__fish_seen_subcommand_from " + command->get_name() + "' ");
  return out + "complete -c penstock -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n";
}

std::string option_rows(const CLI::App& app) {
  std::string out;
  for (const CLI::Option* option : app.get_options()) {
    if (option == app.get_help_ptr() && app.get_parent() != nullptr) continue;  // told once, for all
    out += "| `" + option->get_name(option->get_positional(), true) + "` | " + option->get_description();
    if (!option->get_default_str().empty()) out += " (default `" + option->get_default_str() + "`)";
    if (!option->get_envname().empty()) out += "; environment `" + option->get_envname() + "`";
    out += " |\n";
  }
  return out;
}

}  // namespace

std::string completion_script(const CLI::App& app, std::string_view shell) {
  if (shell == "bash") return bash_script(app);
  return shell == "zsh" ? zsh_script(app) : fish_script(app);
}

std::string cli_doc(const CLI::App& app) {
  std::string out =
      "# penstock: the command line\n\n"
      "This page is generated from the program; a test fails when it is out of date\n"
      "(`PENSTOCK_UPDATE_DOCS=1 ctest -R cli_test` writes it anew).\n\n"
      "Data goes to standard output, messages to standard error. `--json` prints the daemon's JSON, whose keys are\n"
      "only ever added to; tables are for reading and may change. Colour is used on a terminal only and never with\n"
      "`NO_COLOR` set.\n\n"
      "| exit code | meaning |\n|---|---|\n"
      "| 0 | good |\n| 1 | negative result: not ok, refused, wrong configuration |\n| 2 | usage |\n"
      "| 3 | penstockd is not reachable, and the dataplane cannot be asked instead |\n| 4 | time is up |\n\n"
      "When penstockd does not run, `status`, `ports`, `services`, `counters`, `flows` and `connections` read the\n"
      "dataplane's shared memory through its control socket beside the daemon's. Steering counters and next hops are "
      "missing then.\n\n"
      "Completion: `source <(penstock completion bash)` in `~/.bashrc`, `source <(penstock completion zsh)` behind\n"
      "`compinit` in `~/.zshrc` (or as a file `_penstock` in `fpath`), `penstock completion fish | source`.\n\n"
      "## Options of every command\n\n| option | meaning |\n|---|---|\n" +
      option_rows(app);
  for (const CLI::App* command : commands_of(app)) {
    out += "\n## penstock " + command->get_name() + "\n\n" + command->get_description() + "\n";
    const std::string rows = option_rows(*command);
    if (!rows.empty()) out += "\n| option | meaning |\n|---|---|\n" + rows;
  }
  return out;
}

}  // namespace penstock::cli
