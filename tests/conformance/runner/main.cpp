// run_script - plays test scripts in the packetdrill language against our TCP.
//
// Usage  run_script [--profile auto|penstock|linux|freebsd] [--ip-version 4|6|both] [--KEY=VALUE ...] [--verbose]
// FILE...
//        One line per script and family, then the sums. Exit code 0 when none failed, 1 otherwise, 2 for wrong usage.
//        Keys are those of directives (docs/guide/testing.md).
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/conformance/runner/runner.h"

namespace penstock::script {
namespace {

int usage(const std::string& problem) {
  std::fprintf(stderr,
               "run_script: %s\nusage: run_script [--profile auto|penstock|linux|freebsd] [--ip-version 4|6|both] "
               "[--KEY=VALUE ...] [--verbose] FILE...\n",
               problem.c_str());
  return 2;
}

struct Sums {
  unsigned passed{}, failed{}, unsupported{};
  void add(Result result) { ++(result == Result::pass ? passed : result == Result::fail ? failed : unsupported); }
};

void tell(const std::string& file, const FamilyVerdict& one, bool verbose) {
  const Verdict& verdict = one.verdict;
  std::printf("%s %s (%s)%s%s\n", std::string{name_of(verdict.result)}.c_str(), file.c_str(), one.v4 ? "v4" : "v6",
              verdict.reason.empty() ? "" : ": ", verdict.reason.c_str());
  if (!verbose) return;
  for (const std::string& note : verdict.notes) std::printf("  note: %s\n", note.c_str());
}

int run(const std::vector<std::string>& files, const Invocation& invocation, bool verbose) {
  Sums sums;
  for (const std::string& file : files) {
    std::ifstream in(file, std::ios::binary);
    if (!in) {
      std::printf("fail %s: cannot be read\n", file.c_str());
      ++sums.failed;
      continue;
    }
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    const std::vector<FamilyVerdict> verdicts = run_text(text, invocation);
    for (const FamilyVerdict& one : verdicts) {
      tell(file, one, verbose);
      sums.add(one.verdict.result);
    }
    if (verdicts.empty()) std::printf("unsupported %s: fixes the other IP version\n", file.c_str()), ++sums.unsupported;
  }
  std::printf("%u passed, %u failed, %u unsupported\n", sums.passed, sums.failed, sums.unsupported);
  return sums.failed == 0 ? 0 : 1;
}

}  // namespace

int start(int argc, char** argv) {
  Invocation invocation;
  std::vector<std::string> files;
  bool verbose = false;
  Settings tried;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--verbose") {
      verbose = true;
      continue;
    }
    if (!word.starts_with("--")) {
      files.push_back(word);
      continue;
    }
    const std::size_t equal = word.find('=');
    const std::string key = word.substr(2, equal == std::string::npos ? equal : equal - 2);
    if (equal == std::string::npos && i + 1 >= argc) return usage(word + " needs a value");
    const std::string value = equal == std::string::npos ? argv[++i] : word.substr(equal + 1);
    if (key == "profile") {
      invocation.profile = value;
      if (value != "auto" && !tried.start(value)) return usage("no such profile: " + value);
    } else if (const std::string problem = tried.set(key, value); !problem.empty()) {
      return usage(problem);
    } else {
      invocation.changes.emplace_back(key, value);
    }
  }
  if (files.empty()) return usage("no files");
  return run(files, invocation, verbose);
}

}  // namespace penstock::script

int main(int argc, char** argv) { return penstock::script::start(argc, argv); }
