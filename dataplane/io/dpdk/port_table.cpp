#include "dataplane/io/dpdk/port_table.h"

#include <unistd.h>

#include <chrono>

namespace penstock::io {
namespace {

constexpr unsigned kAdoptionPollUs = 200;

bool wait_until_adopted(const std::vector<DpdkIo*>& ios, Duration at_most) {
  const auto end = std::chrono::steady_clock::now() + at_most;
  for (DpdkIo* io : ios) {
    while (!io->adopted()) {
      if (std::chrono::steady_clock::now() > end) return false;
      ::usleep(kAdoptionPollUs);
    }
  }
  return true;
}

}  // namespace

PortTable::~PortTable() {
  require(!workers_running_, "ports closed under running workers");
  hidden_.fill(true);
  static_cast<void>(distribute(Duration{}));
}

const DpdkPort* PortTable::find(PortIndex index) const {
  return index < ports_.size() && !hidden_[index] ? ports_[index].get() : nullptr;
}

Status PortTable::distribute(Duration at_most) {
  // A worker that ignored the last change still reads the set before: nothing may be posted over it.
  if (workers_running_ && !wait_until_adopted(ios_, at_most))
    return Problem{"worker", "does not adopt changes of ports", "it is stuck; the watchdog will end the process"};
  for (std::size_t worker = 0; worker < ios_.size(); ++worker) {
    auto set = std::make_unique<QueueSet>();
    set->transmit.fill(kNoDevice);
    set->trains.fill(-1);
    set->pool = runtime_.pool();
    for (PortIndex index = 0; index < ports_.size(); ++index) {
      if (ports_[index] == nullptr || hidden_[index]) continue;
      const std::span<const DpdkPort::Queue> queues = ports_[index]->queues();
      set->trains[index] = ports_[index]->train_socket();
      set->mtus[index] = static_cast<std::uint16_t>(ports_[index]->options().mtu);
      for (std::size_t queue = worker; queue < queues.size(); queue += ios_.size()) {
        set->receive.push_back({queues[queue].device, index, queues[queue].large});
        set->polled.push_back({queues[queue].fd, POLLIN, 0});
        if (set->transmit[index] == kNoDevice) set->transmit[index] = queues[queue].device;
      }
    }
    if (!workers_running_) ios_[worker]->adopt();
    ios_[worker]->post(std::move(set));
    if (!workers_running_) ios_[worker]->adopt();
  }
  if (!wait_until_adopted(ios_, at_most))
    return Problem{"worker", "did not adopt a change of ports in time", "it is stuck or the machine is overloaded"};
  return Done{};
}

Status PortTable::add(PortOptions options, Duration at_most) {
  const PortIndex index = options.index;
  if (index >= ports_.size()) return Problem{options.name, "port index is out of range", ""};
  if (ports_[index] != nullptr)
    return Problem{options.name,
                   "port index " + std::to_string(index) + " is in use by " + ports_[index]->options().name, ""};
  auto port = DpdkPort::add(runtime_, std::move(options));
  if (!port) return port.error();
  ports_[index] = std::move(*port);
  hidden_[index] = false;
  auto spread = distribute(at_most);
  if (spread) return spread;
  static_cast<void>(remove(index, at_most));
  return spread;
}

Status PortTable::remove(PortIndex index, Duration at_most) {
  if (index >= ports_.size() || ports_[index] == nullptr)
    return Problem{"port " + std::to_string(index), "is not there", ""};
  hidden_[index] = true;
  if (auto spread = distribute(at_most); !spread) return spread;
  ports_[index].reset();
  hidden_[index] = false;
  return Done{};
}

}  // namespace penstock::io
