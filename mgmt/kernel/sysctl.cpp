#include "mgmt/kernel/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "mgmt/kernel/system_problem.h"
#include "mgmt/kernel/unique_fd.h"

namespace penstock::kernel {
namespace {

constexpr const char* kReserved = "net/ipv4/ip_local_reserved_ports";
// Not a setting: the range that we added to kReserved. The original list itself is under kReserved.
constexpr const char* kOurRange = "#range";

std::string path_of(const std::string& name) { return "/proc/sys/" + name; }

}  // namespace

std::optional<std::string> read_sysctl(const std::string& name) {
  const UniqueFd fd{::open(path_of(name).c_str(), O_RDONLY | O_CLOEXEC)};
  if (!fd) return std::nullopt;
  std::string out;
  std::array<char, 4096> part;
  for (ssize_t got; (got = ::read(fd.get(), part.data(), part.size())) > 0;)
    out.append(part.data(), static_cast<std::size_t>(got));
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

Status write_sysctl(const std::string& name, const std::string& value) {
  const UniqueFd fd{::open(path_of(name).c_str(), O_WRONLY | O_CLOEXEC)};
  if (!fd)
    return system_problem(name, "cannot open the setting", errno, "needs CAP_NET_ADMIN and a writable /proc/sys");
  const std::string line = value + "\n";
  if (::write(fd.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    return system_problem(name, "cannot write '" + value + "'", errno);
  return Done{};
}

PortSet PortSet::parse(const std::string& text) {
  PortSet out;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    std::uint16_t low = 0;
    auto read = std::from_chars(at, end, low);
    if (read.ec != std::errc{}) break;
    std::uint16_t high = low;
    if (read.ptr < end && *read.ptr == '-') read = std::from_chars(read.ptr + 1, end, high);
    if (read.ec != std::errc{}) break;
    out.add(low, high);
    at = read.ptr + 1;
  }
  return out;
}

void PortSet::add(std::uint16_t low, std::uint16_t high) {
  for (std::size_t port = low; port <= high; ++port) bits_[port] = true;
}
void PortSet::remove(std::uint16_t low, std::uint16_t high) {
  for (std::size_t port = low; port <= high; ++port) bits_[port] = false;
}

std::string PortSet::text() const {
  std::string out;
  for (std::size_t port = 0; port < bits_.size(); ++port) {
    if (!bits_[port]) continue;
    std::size_t last = port;
    while (last + 1 < bits_.size() && bits_[last + 1]) ++last;
    out += (out.empty() ? "" : ",") + std::to_string(port);
    if (last > port) out += "-" + std::to_string(last);
    port = last;
  }
  return out;
}

SysctlKeeper::SysctlKeeper(std::string state_file) : state_file_{std::move(state_file)} {
  std::ifstream file{state_file_};
  for (std::string line; std::getline(file, line);) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) originals_[line.substr(0, equals)] = line.substr(equals + 1);
  }
}

Status SysctlKeeper::save() const {
  const std::string fresh = state_file_ + ".new";
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path{state_file_}.parent_path(), error);
  {
    std::ofstream file{fresh, std::ios::trunc};
    for (const auto& [name, value] : originals_) file << name << '=' << value << '\n';
    file.flush();
    if (!file) return system_problem(fresh, "cannot write", errno);
  }
  std::filesystem::rename(fresh, state_file_, error);
  if (error) return system_problem(state_file_, "cannot replace", error.value());
  return Done{};
}

Status SysctlKeeper::set(const std::string& name, const std::string& value) {
  const auto present = read_sysctl(name);
  if (!present) return system_problem(name, "cannot read the setting", errno);
  if (*present == value) return Done{};
  if (originals_.emplace(name, *present).second)
    if (auto done = save(); !done) return done;
  return write_sysctl(name, value);
}

// What is reserved now, less our range, plus what of it was reserved before us.
Status SysctlKeeper::release_ports() {
  const auto range = originals_.find(kOurRange);
  if (range == originals_.end()) return Done{};
  const auto present = read_sysctl(kReserved);
  if (!present) return system_problem(kReserved, "cannot read the setting", errno);
  PortSet ports = PortSet::parse(*present);
  const PortSet ours = PortSet::parse(range->second);
  const PortSet before = PortSet::parse(originals_[kReserved]);
  for (std::uint32_t port = 0; port < 65536; ++port) {
    const auto number = static_cast<std::uint16_t>(port);
    if (ours.contains(number) && !before.contains(number)) ports.remove(number, number);
  }
  if (auto done = write_sysctl(kReserved, ports.text()); !done) return done;
  originals_.erase(kOurRange);
  originals_.erase(kReserved);
  return Done{};
}

Status SysctlKeeper::reserve_ports(std::uint16_t low, std::uint16_t high) {
  const std::string wanted = std::to_string(low) + "-" + std::to_string(high);
  const auto range = originals_.find(kOurRange);
  if (range != originals_.end() && range->second != wanted)
    if (auto done = release_ports(); !done) return done;
  const auto present = read_sysctl(kReserved);
  if (!present) return system_problem(kReserved, "cannot read the setting", errno);
  if (originals_.emplace(kOurRange, wanted).second) {
    originals_[kReserved] = *present;
    if (auto done = save(); !done) return done;
  }
  PortSet ports = PortSet::parse(*present);
  ports.add(low, high);
  if (ports.text() == *present) return Done{};
  return write_sysctl(kReserved, ports.text());
}

Status SysctlKeeper::restore() {
  if (auto done = release_ports(); !done) return done;
  for (const auto& [name, value] : originals_)
    if (read_sysctl(name))
      if (auto done = write_sysctl(name, value); !done) return done;
  originals_.clear();
  std::error_code error;
  std::filesystem::remove(state_file_, error);
  return Done{};
}

}  // namespace penstock::kernel
