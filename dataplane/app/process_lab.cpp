#include "dataplane/app/process_lab.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

namespace penstock::app {
namespace {

using std::chrono::milliseconds;
constexpr milliseconds kCallTimeout{10'000};
constexpr int kConnectTries = 500;

std::string new_directory() {
  static std::atomic<int> counter{0};
  const std::string path = "/tmp/psk-D" + std::to_string(::getpid()) + "-app" + std::to_string(counter++);
  std::filesystem::create_directories(path);
  return path;
}

}  // namespace

ProcessLab::ProcessLab(const std::string& binary, std::vector<std::string> arguments, std::string directory)
    : directory_{directory.empty() ? new_directory() : std::move(directory)} {
  arguments.insert(arguments.begin(), {binary, "--control-socket", socket_path()});
  std::vector<char*> words;
  for (std::string& word : arguments) words.push_back(word.data());
  words.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ == 0) {
    ::execv(binary.c_str(), words.data());
    ::_exit(127);
  }
}

ProcessLab::~ProcessLab() {
  if (pid_ > 0) {
    signal(SIGKILL);
    static_cast<void>(wait(milliseconds{5000}));
  }
  if (!keep_) std::filesystem::remove_all(directory_);
}

void ProcessLab::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int ProcessLab::wait(milliseconds at_most) {
  const auto end = std::chrono::steady_clock::now() + at_most;
  while (pid_ > 0) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (std::chrono::steady_clock::now() > end) return -1;
    std::this_thread::sleep_for(milliseconds{5});
  }
  return -1;
}

Result<ControlClient> ControlClient::connect(const std::string& path, bool reader, std::uint32_t protocol,
                                             std::uint32_t minor) {
  ControlClient client;
  auto channel = control::Channel::connect(path);
  for (int i = 0; i < kConnectTries && !channel; ++i) {
    std::this_thread::sleep_for(milliseconds{20});
    channel = control::Channel::connect(path);
  }
  if (!channel) return channel.error();
  client.channel_ = std::move(*channel);
  control::v1::Envelope envelope;
  control::v1::Hello& hello = *envelope.mutable_hello();
  hello.set_protocol_major(protocol);
  hello.set_protocol_minor(minor);
  hello.set_build("test");
  hello.set_reader(reader);
  if (auto sent = client.channel_.send(envelope); !sent) return sent.error();
  auto received = client.channel_.receive_within(kCallTimeout);
  if (!received) return received.error();
  if (received->arrival != control::Arrival::message) return Problem{path, "no Hello came", ""};
  if (received->envelope.has_ack()) return Problem{path, received->envelope.ack().error(), ""};
  client.hello_ = received->envelope.hello();
  client.fds_ = std::move(received->fds);
  return client;
}

Result<control::v1::Envelope> ControlClient::exchange(control::v1::Envelope envelope, std::span<const int> fds) {
  envelope.set_sequence(sequence_++);
  if (auto sent = channel_.send(envelope, fds); !sent) return sent.error();
  for (;;) {
    auto received = channel_.receive_within(kCallTimeout);
    if (!received) return received.error();
    if (received->arrival != control::Arrival::message) return Problem{"control", "no answer came", ""};
    if (received->envelope.sequence() == envelope.sequence()) return std::move(received->envelope);
    events_.push_back(std::move(received->envelope));
  }
}

Status ControlClient::call(control::v1::Envelope envelope, std::span<const int> fds) {
  auto answer = exchange(std::move(envelope), fds);
  if (!answer) return answer.error();
  if (!answer->has_ack()) return Problem{"control", "the answer is no Ack", ""};
  if (!answer->ack().ok()) return Problem{"dataplane", answer->ack().error(), answer->ack().remedy()};
  return Done{};
}

Result<control::v1::State> ControlClient::state() {
  control::v1::Envelope envelope;
  envelope.mutable_get_state();
  auto answer = exchange(std::move(envelope), {});
  if (!answer) return answer.error();
  if (!answer->has_state()) return Problem{"control", "the answer is no State", ""};
  return answer->state();
}

Status ControlClient::publish(const control::SnapshotContent& content, std::uint64_t epoch) {
  const std::vector<std::byte> bytes = control::write_snapshot(content, epoch);
  const Fd memory{::memfd_create("snapshot", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (::write(memory.get(), bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
    return Problem{"snapshot", "cannot be written", ""};
  ::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
  control::v1::Envelope envelope;
  envelope.mutable_publish_snapshot()->set_epoch(epoch);
  envelope.mutable_publish_snapshot()->set_octets(bytes.size());
  const int fd = memory.get();
  return call(std::move(envelope), {&fd, 1});
}

Result<control::v1::Envelope> ControlClient::event_within(milliseconds at_most) {
  if (!events_.empty()) {
    control::v1::Envelope first = std::move(events_.front());
    events_.erase(events_.begin());
    return first;
  }
  auto received = channel_.receive_within(at_most);
  if (!received) return received.error();
  if (received->arrival != control::Arrival::message) return Problem{"control", "no event came", ""};
  return std::move(received->envelope);
}

Result<control::SegmentView> ControlClient::segment(bool writable) const {
  struct stat info {};
  ::fstat(fds_[0].get(), &info);
  void* at = ::mmap(nullptr, static_cast<std::size_t>(info.st_size), writable ? PROT_READ | PROT_WRITE : PROT_READ,
                    MAP_SHARED, fds_[0].get(), 0);
  if (at == MAP_FAILED) return Problem{"segment", "cannot be mapped", ""};
  return control::SegmentView::open({static_cast<std::byte*>(at), static_cast<std::size_t>(info.st_size)});
}

}  // namespace penstock::app
