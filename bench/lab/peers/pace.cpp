// pace: how fast the machine's cores are right now, by a fixed piece of work that is done every now and then.
//
// Usage   pace FILE CORE...     writes FILE until SIGTERM; says "ready" when it is there
// File    per core, in the order named: unsigned 64 bits pieces of work done, and nanoseconds that they took
// Why     a virtual core is often one of two threads of a real one. What runs on the other, on another machine or on
//         this one, makes it slower by a third, and is seen in no counter: the time is not stolen, less is done in it
// Model   independent integer operations in registers: no cache, no memory. The least of kBlocks in a row counts, so
// that
//         an interrupt does not. 20 to 60 ms apart, at random, so as not to keep step with the tick
// Limits  above all others (SCHED_FIFO) where that is allowed; a tenth of a percent of a core, which a request in a
//         thousand waits for
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <random>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

constexpr int kBlocks = 3, kSteps = 12'000;

struct Row {
  std::atomic<std::uint64_t> pieces, nanoseconds;
};
static_assert(sizeof(Row) == 16 && std::atomic<std::uint64_t>::is_always_lock_free);

std::chrono::nanoseconds block() {
  const Clock::time_point begun = Clock::now();
  std::uint64_t a = 1, b = 2, c = 3, d = 4, e = 5, f = 6;
  for (std::uint64_t step = 0; step < kSteps; ++step) {
    a = a * 3 + 1, b = (b ^ step) + 7, c += step, d = (d << 1) ^ step, e -= step, f ^= a;
    asm volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d), "+r"(e), "+r"(f));
  }
  return Clock::now() - begun;
}

void keep_pace(unsigned core, Row& row) {
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(core, &only);
  if (sched_setaffinity(0, sizeof only, &only) != 0) return std::perror("pace: sched_setaffinity");
  const sched_param first{1};
  pthread_setschedparam(pthread_self(), SCHED_FIFO, &first);  // without it, samples are fewer
  std::minstd_rand random{core + 1};
  std::uniform_int_distribution<int> microseconds{20'000, 60'000};
  for (;;) {
    std::this_thread::sleep_for(std::chrono::microseconds{microseconds(random)});
    block();  // awake, and up to speed
    std::chrono::nanoseconds least = block();
    for (int i = 1; i < kBlocks; ++i) least = std::min(least, block());
    row.nanoseconds.fetch_add(static_cast<std::uint64_t>(least.count()), std::memory_order_relaxed);
    row.pieces.fetch_add(1, std::memory_order_relaxed);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> words{argv, static_cast<std::size_t>(argc)};
  std::vector<unsigned> cores;
  for (std::size_t i = 2; i < words.size(); ++i) {
    const std::string_view word = words[i];
    unsigned core{};
    if (const auto [end, error] = std::from_chars(word.begin(), word.end(), core);
        error != std::errc{} || end != word.end())
      cores.clear(), i = words.size();
    else
      cores.push_back(core);
  }
  if (cores.empty()) return std::fputs("usage: pace FILE CORE...\n", stderr), 2;
  const std::size_t octets = cores.size() * sizeof(Row);
  const int file = open(words[1], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (file < 0 || ftruncate(file, static_cast<off_t>(octets)) != 0) return std::perror(words[1]), 1;
  void* const at = mmap(nullptr, octets, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) return std::perror("pace: mmap"), 1;
  const std::span<Row> rows{static_cast<Row*>(at), cores.size()};
  for (std::size_t i = 0; i < cores.size(); ++i) std::thread{keep_pace, cores[i], std::ref(rows[i])}.detach();
  std::puts("ready");
  std::fflush(stdout);
  for (;;) pause();
}
