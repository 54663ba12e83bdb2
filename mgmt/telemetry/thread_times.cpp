#include "mgmt/telemetry/thread_times.h"

#include <time.h>
#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace penstock::telemetry {

std::vector<ThreadTime> thread_times(pid_t pid) {
  std::vector<ThreadTime> out;
  std::error_code error;
  const std::filesystem::path tasks = "/proc/" + std::to_string(pid) + "/task";
  for (std::filesystem::directory_iterator it{tasks, error}, end; !error && it != end; it.increment(error)) {
    ThreadTime thread;
    const std::string tid = it->path().filename();
    std::from_chars(tid.data(), tid.data() + tid.size(), thread.tid);
    std::ifstream schedstat{it->path() / "schedstat"};
    std::ifstream comm{it->path() / "comm"};
    if (schedstat >> thread.cpu_ns && std::getline(comm, thread.name)) out.push_back(std::move(thread));
  }
  return out;
}

std::uint64_t process_age_seconds(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
  std::string line;
  std::getline(file, line);
  const std::size_t name_end = line.rfind(')');  // the name may hold spaces and brackets
  if (name_end == std::string::npos) return 0;
  std::istringstream fields{line.substr(name_end + 1)};
  std::string skip;
  for (int i = 0; i < 19; ++i) fields >> skip;  // fields 3 to 21 of proc(5)
  std::uint64_t start_ticks{};
  fields >> start_ticks;
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  const std::uint64_t start = start_ticks / static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const auto up = static_cast<std::uint64_t>(now.tv_sec);
  return up > start ? up - start : 0;
}

}  // namespace penstock::telemetry
