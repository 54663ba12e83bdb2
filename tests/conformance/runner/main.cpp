// run_script - plays test scripts in the packetdrill language against our TCP.
//
// Usage  run_script [OPTION...] FILE|DIRECTORY...       run_script --help tells the options
//        One line per script and family, then the sums. Exit code 0 when none failed, 1 otherwise, 2 for wrong usage or
//        when there is nothing to run. Keys are those of directives (docs/guide/testing.md).
// Limits kTextMax octets of a script.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "tests/conformance/runner/runner.h"

namespace penstock::script {
namespace {

namespace fs = std::filesystem;

constexpr std::uintmax_t kTextMax = 4u << 20;

constexpr std::string_view kHelp =
    "usage: run_script [OPTION...] FILE|DIRECTORY...\n"
    "Plays scripts in the packetdrill language against Penstock's TCP, in virtual time. Of a directory, every *.pkt "
    "below "
    "it.\n\n"
    "  --profile auto|penstock|linux|freebsd   the stack that a script was written for (auto: guessed for each)\n"
    "  --ip-version 4|6|both                   families to play in\n"
    "  --all-must-pass                         unsupported scripts count as failures for the exit code\n"
    "  --only-problems                         no lines for scripts that pass\n"
    "  --verbose                               what was ignored, too\n"
    "  --help\n"
    "  --KEY=VALUE                             a setting; wins over what a script says:\n";

struct Command {
  std::vector<std::string> paths;
  Invocation invocation;
  bool verbose{}, only_problems{}, all_must_pass{}, help{};
};

int usage(const std::string& problem) {
  std::fprintf(stderr, "run_script: %s (run_script --help tells the options)\n", problem.c_str());
  return 2;
}

/// Empty, or what is wrong.
std::string read_command(const std::vector<std::string>& words, Command& into) {
  Settings tried;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (!word.starts_with("--")) {
      into.paths.push_back(word);
      continue;
    }
    bool* const flag = word == "--verbose"         ? &into.verbose
                       : word == "--only-problems" ? &into.only_problems
                       : word == "--all-must-pass" ? &into.all_must_pass
                       : word == "--help"          ? &into.help
                                                   : nullptr;
    if (flag != nullptr) {
      *flag = true;
      continue;
    }
    const std::size_t equal = word.find('=');
    const std::string key = word.substr(2, equal == std::string::npos ? equal : equal - 2);
    if (equal == std::string::npos && i + 1 >= words.size()) return word + " needs a value";
    const std::string value = equal == std::string::npos ? words[++i] : word.substr(equal + 1);
    if (key == "profile") {
      into.invocation.profile = value;
      if (value != "auto" && !tried.start(value)) return "no such profile: " + value;
    } else if (std::string problem = tried.set(key, value); !problem.empty()) {
      return problem;
    } else {
      into.invocation.changes.emplace_back(key, value);
    }
  }
  return "";
}

/// Files as they are, of directories every *.pkt below; sorted within each. Nothing: what is wrong.
std::optional<std::vector<std::string>> scripts_of(const std::vector<std::string>& paths, std::string& problem) {
  std::vector<std::string> out;
  for (const std::string& path : paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      out.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (fs::recursive_directory_iterator it{path, error}, end; !error && it != end; it.increment(error))
      if (it->path().extension() == ".pkt" && it->is_regular_file()) found.push_back(it->path().string());
    if (error) problem = path + ": " + error.message();
    if (found.empty() && !error) problem = path + ": no *.pkt below it";
    if (!problem.empty()) return std::nullopt;
    std::sort(found.begin(), found.end());
    out.insert(out.end(), found.begin(), found.end());
  }
  return out;
}

class Report {
 public:
  explicit Report(const Command& command) : command_{command} {}

  void add(const std::string& file, std::string_view family, const Verdict& verdict) {
    ++(verdict.result == Result::pass ? passed_ : verdict.result == Result::fail ? failed_ : unsupported_);
    if (command_.only_problems && verdict.result == Result::pass) return;
    const std::string line = verdict.line > 0 ? ":" + std::to_string(verdict.line) : "";
    std::printf("%s %s%s%s%s%s%s\n", std::string{name_of(verdict.result)}.c_str(), file.c_str(), line.c_str(),
                family.empty() ? "" : " ", std::string{family}.c_str(), verdict.reason.empty() ? "" : ": ",
                verdict.reason.c_str());
    if (!command_.verbose) return;
    for (const std::string& note : verdict.notes) std::printf("  note: %s\n", note.c_str());
  }

  [[nodiscard]] int close() const {
    std::printf("%u passed, %u failed, %u unsupported\n", passed_, failed_, unsupported_);
    return failed_ > 0 || (command_.all_must_pass && unsupported_ > 0) ? 1 : 0;
  }

 private:
  const Command& command_;
  unsigned passed_{}, failed_{}, unsupported_{};
};

void run_file(const std::string& file, const Command& command, Report& report) {
  std::error_code error;
  const std::uintmax_t octets = fs::file_size(file, error);
  std::ifstream in(file, std::ios::binary);
  if (error || !in) return report.add(file, "", {Result::fail, 0, "cannot be read", {}});
  if (octets > kTextMax) return report.add(file, "", {Result::unsupported, 0, "more than 4 MiB", {}});
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const std::vector<FamilyVerdict> verdicts = run_text(text, command.invocation);
  for (const FamilyVerdict& one : verdicts) report.add(file, one.v4 ? "(v4)" : "(v6)", one.verdict);
  if (verdicts.empty()) report.add(file, "", {Result::unsupported, 0, "it fixes the other IP version", {}});
}

}  // namespace

int start(int argc, char** argv) {
  Command command;
  std::string problem = read_command({argv + 1, argv + argc}, command);
  if (!problem.empty()) return usage(problem);
  if (command.help) {
    std::printf("%s%s", std::string{kHelp}.c_str(), Settings::keys().c_str());
    return 0;
  }
  const auto files = scripts_of(command.paths, problem);
  if (!files) return usage(problem);
  if (files->empty()) return usage("no files");
  Report report{command};
  for (const std::string& file : *files) run_file(file, command, report);
  return report.close();
}

}  // namespace penstock::script

int main(int argc, char** argv) { return penstock::script::start(argc, argv); }
