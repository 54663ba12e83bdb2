#include "mgmt/daemon/access_pump.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>

namespace penstock::daemon {
namespace {

constexpr mode_t kFileMode = 0640;

std::uint64_t nanoseconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

/// A regular file whose last line has no end. Read through a descriptor of its own: the log's is for writing alone,
/// since a pipe that nobody reads must not count as read.
bool ends_within_a_line(int file) {
  struct stat info {};
  if (::fstat(file, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) return false;
  const Fd reader{::open(("/proc/self/fd/" + std::to_string(file)).c_str(), O_RDONLY | O_CLOEXEC)};
  char last{};
  return reader && ::pread(reader.get(), &last, 1, info.st_size - 1) == 1 && last != '\n';
}

}  // namespace

Result<AccessFile> AccessFile::open(const config::AccessLog& config) {
  AccessFile out;
  if (config.format == config::AccessFormat::text) out.format_ = telemetry::AccessFormat::text;
  out.fd_ = STDOUT_FILENO;
  if (config.file.empty()) {
    out.torn_ = ends_within_a_line(out.fd_);
    return out;
  }
  out.file_ = Fd{::open(config.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, kFileMode)};
  if (!out.file_)
    return Problem{config.file, std::string{"cannot be opened for the access log: "} + std::strerror(errno),
                   "check the path and its rights"};
  out.fd_ = out.file_.get();
  out.torn_ = ends_within_a_line(out.fd_);
  return out;
}

std::size_t AccessFile::write(const std::vector<std::string>& lines) {
  std::size_t lost = 0;
  for (const std::string& line : lines) {
    // A pipe that is ready takes PIPE_BUF octets (4096) at once; a line has fewer. Files are always ready.
    pollfd ready{fd_, POLLOUT, 0};
    const bool can = ::poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0;
    if (!can) {
      ++lost;
      continue;
    }
    const std::string whole = torn_ ? "\n" + line : line;
    const ssize_t taken = ::write(fd_, whole.data(), whole.size());
    if (taken == static_cast<ssize_t>(whole.size())) {
      torn_ = false;
      continue;
    }
    ++lost;
    if (taken > 0) torn_ = whole.compare(0, static_cast<std::size_t>(taken), "\n") != 0;
  }
  return lost;
}

AccessPump::AccessPump(boost::asio::io_context& loop, publish::DataplaneClient::Pointer client,
                       const telemetry::AccessNameBook& names, std::unique_ptr<AccessFile>& file,
                       telemetry::AccessReport& counts)
    : timer_{loop}, client_{std::move(client)}, names_{names}, file_{file}, counts_{counts} {
  for (std::size_t w = 0; w < client_->segment().worker_count(); ++w) {
    control::WorkerBlock& block = client_->segment().block(w);
    rings_.emplace_back(block.access_control, block.access);
  }
  wait();
}
AccessPump::~AccessPump() { *alive_ = false; }

void AccessPump::wait() {
  timer_.expires_after(kInterval);
  timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    drain();
    wait();
  });
}

void AccessPump::drain() {
  const std::uint64_t offset = nanoseconds(CLOCK_REALTIME) - nanoseconds(CLOCK_MONOTONIC);
  std::vector<std::string> lines;
  control::AccessRecord record;
  for (SpscRing<control::AccessRecord>& ring : rings_)
    for (std::size_t i = 0; i < kBatch && ring.pop(record); ++i)
      if (file_)
        lines.push_back(
            telemetry::access_line(record, names_.at(record.epoch), record.ended_ns + offset, file_->format()));
      else
        ++counts_.lines_lost;
  if (lines.empty()) return;
  const std::size_t lost = file_->write(lines);
  counts_.lines += lines.size() - lost;
  counts_.lines_lost += lost;
}

}  // namespace penstock::daemon
