#include "mgmt/kernel/netns_bed.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "mgmt/kernel/bpffs.h"

namespace penstock::test {

int shell(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  require(pipe != nullptr, "popen");
  std::array<char, 4096> part;
  for (std::size_t got; (got = std::fread(part.data(), 1, part.size(), pipe)) > 0;) out.append(part.data(), got);
  ::pclose(pipe);
  return out;
}

NetnsBed::NetnsBed() : suffix_{std::to_string(::getpid())}, directory_{"/tmp/psk-kernel-" + suffix_} {
  std::filesystem::create_directories(directory_);
  auto node = kernel::open_netns(ns("node"));
  require(node.ok(), "cannot open the test's namespace; root is needed");
  auto visit = kernel::NamespaceVisit::enter(node->get());
  require(visit.ok(), "cannot enter the test's namespace");
  visit_.emplace(std::move(visit).value());
}

NetnsBed::~NetnsBed() {
  for (const pid_t process : processes_) {
    ::kill(process, SIGKILL);
    ::waitpid(process, nullptr, 0);
  }
  visit_.reset();
  for (const std::string& name : names_) shell("ip netns del " + name);
  (void)kernel::unmount_bpffs(directory_ + "/bpf");
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

std::string NetnsBed::ns(const std::string& role) {
  const std::string name = "psk-" + role + suffix_;
  if (std::find(names_.begin(), names_.end(), name) == names_.end()) {
    require(shell("ip netns add " + name + " && ip -n " + name + " link set lo up") == 0, "ip netns add");
    names_.push_back(name);
  }
  return name;
}

void NetnsBed::connect(const std::string& port, const std::string& role) {
  const std::string there = ns(role);
  require(shell("ip link add name " + port + " type veth peer name eth0 netns " + there + " && ip link set " + port +
                " up && ip -n " + there + " link set eth0 up") == 0,
          "ip link add");
}

int NetnsBed::in(const std::string& role, const std::string& command) {
  return shell("ip netns exec " + ns(role) + " " + command);
}

std::string NetnsBed::output_in(const std::string& role, const std::string& command) {
  return output_of("ip netns exec " + ns(role) + " " + command);
}

void NetnsBed::start(const std::string& role, const std::vector<std::string>& command) {
  std::vector<std::string> words{"ip", "netns", "exec", ns(role)};
  words.insert(words.end(), command.begin(), command.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t child = ::fork();
  require(child >= 0, "fork");
  if (child == 0) {
    ::execvp("ip", arguments.data());
    ::_exit(127);
  }
  processes_.push_back(child);
}

}  // namespace penstock::test
