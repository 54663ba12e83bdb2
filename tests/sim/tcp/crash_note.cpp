#include "tests/sim/tcp/crash_note.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstring>

// In every program that a sanitizer is linked to, and absent in the others.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace penstock::tcpsim::crash_note {
namespace {

// A handler has nothing else to look at. Texts are made before, since it must not allocate.
std::array<char, 256> text{};
std::array<char, 64> path{};
const Pcapng* capture_in_progress = nullptr;
bool told = false;

void tell() {
  if (told || text[0] == 0) return;
  told = true;
  static_cast<void>(!::write(STDERR_FILENO, text.data(), std::strlen(text.data())));
  if (capture_in_progress == nullptr) return;
  const int file = ::open(path.data(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file < 0) return;
  const ByteView bytes = capture_in_progress->bytes();
  static_cast<void>(!::write(file, bytes.data(), bytes.size()));
  ::close(file);
}

void on_signal(int number) {
  tell();
  std::signal(number, SIG_DFL);
  std::raise(number);
}

}  // namespace

void install() {
  std::signal(SIGABRT, on_signal);
  if (__sanitizer_set_death_callback != nullptr)
    __sanitizer_set_death_callback(tell);
  else
    std::signal(SIGSEGV, on_signal);
}

void set(std::uint64_t seed, const std::string& variant, const std::string& options, const Pcapng* capture) {
  const auto number = static_cast<unsigned long long>(seed);
  std::snprintf(path.data(), path.size(), "tcp_sim-%llu-crash.pcapng", number);
  std::snprintf(
      text.data(), text.size(), "CRASHED seed %llu variant %s\n  replay: tcp_sim --replay %llu --variant %s%s%s%s\n",
      number, variant.c_str(), number, variant.c_str(), options.c_str(),
      capture != nullptr ? "; packets in " : "; the replay writes its packets", capture != nullptr ? path.data() : "");
  capture_in_progress = capture;
}

void clear() {
  text[0] = 0;
  capture_in_progress = nullptr;
}

}  // namespace penstock::tcpsim::crash_note
