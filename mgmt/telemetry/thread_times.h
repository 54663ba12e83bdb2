// thread_times.h - processor time of a process's threads, as the kernel accounts it.
//
// Units     nanoseconds since the thread's start.
// Errors    threads that vanish while reading are left out; a process that is gone has none.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace penstock::telemetry {

struct ThreadTime {
  pid_t tid{};
  std::string name;
  std::uint64_t cpu_ns{};
};
[[nodiscard]] std::vector<ThreadTime> thread_times(pid_t pid);

/// Seconds since the process started; 0 when it is gone.
[[nodiscard]] std::uint64_t process_age_seconds(pid_t pid);

}  // namespace penstock::telemetry
