#include "mgmt/daemon/port_reconciler.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <set>
#include <utility>

#include "mgmt/telemetry/metric_table.h"

namespace penstock::daemon {
namespace {

namespace asio = boost::asio;
namespace v1 = control::v1;

constexpr std::uint32_t kNoIndex = 0xffffffff;
/// Until a port with large frames that the dataplane refused is tried again. A configuration, another dataplane, and a
/// link that changed or was down meanwhile end it.
constexpr std::chrono::seconds kRefusedWait{10};

std::string space_key(const config::Port& port) { return port.netns.value_or(""); }
bool same_port(const config::Port& a, const config::Port& b) { return a.name == b.name && a.netns == b.netns; }

std::uint64_t own_netns_inode() {
  const auto own = kernel::open_netns("/proc/self/ns/net");
  return own ? kernel::netns_inode(own->get()) : 0;
}

std::string label(const config::Port& port) { return port.netns ? port.name + " in netns " + *port.netns : port.name; }

bool verifies_checksums(const PortState& port) {
  switch (port.config.verify_checksums) {
    case config::VerifyChecksums::yes:
      return true;
    case config::VerifyChecksums::no:
      return false;
    case config::VerifyChecksums::automatic:
      break;
  }
  return !port.link->is_veth();
}

}  // namespace

/// A watched network namespace. Its links are those of the last drain().
struct PortReconciler::Namespace {
  kernel::UniqueFd fd;  ///< none = the daemon's own
  std::uint64_t inode{};
  std::optional<kernel::LinkWatch> links;
  std::unique_ptr<asio::posix::stream_descriptor> wakeup;
  std::map<std::uint32_t, kernel::LinkInfo> known;
  std::set<std::uint32_t> falling;  ///< were down or gone since the last reconcile() began, whatever they are now
  std::set<std::uint32_t> fallen;   ///< of the reconcile() under way: what was in `falling` when it began
  std::string error;

  void drain() {
    if (!links) return;
    for (const kernel::LinkEvent& event : links->drain()) {
      const bool vanished = event.kind == kernel::LinkEventKind::vanished;
      if (vanished || !event.link.up) falling.insert(event.link.ifindex);
      if (vanished)
        known.erase(event.link.ifindex);
      else
        known[event.link.ifindex] = event.link;
    }
  }
};

PortReconciler::PortReconciler(asio::io_context& loop, kernel::Steering& steering) : loop_{loop}, steering_{steering} {}
PortReconciler::~PortReconciler() = default;

void PortReconciler::watch(Namespace& space) {
  space.wakeup->async_wait(asio::posix::descriptor_base::wait_read, [this, &space](boost::system::error_code error) {
    if (error) return;  // the namespace was dropped; it may be gone
    space.drain();
    if (on_change) on_change();
    watch(space);
  });
}

/// Opens namespaces that came, drops those that went: holding one open would keep it alive.
void PortReconciler::refresh_namespaces() {
  std::set<std::string> wanted;
  for (const PortState& port : ports_) wanted.insert(space_key(port.config));
  std::erase_if(spaces_, [&](const auto& entry) { return !wanted.contains(entry.first); });
  for (const std::string& key : wanted) {
    auto& space = spaces_[key];
    kernel::UniqueFd fd;
    std::string error;
    if (!key.empty()) {
      auto opened = kernel::open_netns(key);
      if (opened)
        fd = std::move(*opened);
      else
        error = opened.error().text();
    }
    const std::uint64_t inode = !error.empty() ? 0 : fd ? kernel::netns_inode(fd.get()) : own_netns_inode();
    if (space && space->links && error.empty() && space->inode == inode) continue;
    space = std::make_unique<Namespace>();
    space->error = error;
    if (!error.empty()) continue;
    space->inode = inode;
    auto links = kernel::LinkWatch::open(fd.get());
    space->fd = std::move(fd);
    if (!links) {
      space->error = links.error().text();
      continue;
    }
    space->links.emplace(std::move(*links));
    space->drain();
    space->wakeup = std::make_unique<asio::posix::stream_descriptor>(loop_, ::dup(space->links->fd()));
    watch(*space);
  }
}

PortReconciler::Namespace* PortReconciler::space_of(const config::Port& port) {
  const auto found = spaces_.find(space_key(port));
  return found == spaces_.end() ? nullptr : found->second.get();
}

void PortReconciler::look(PortState& port) {
  const Namespace* space = space_of(port.config);
  port.link.reset();
  if (space == nullptr) return;
  for (const auto& [ifindex, link] : space->known)
    if (link.name == port.config.name) port.link = link;
}

/// The number that the port had under a predecessor, or the lowest that nobody has.
std::uint32_t PortReconciler::index_for(const PortState& port) {
  std::set<std::uint32_t> taken;
  for (const auto* list : {&ports_, &removed_})
    for (const PortState& other : *list) taken.insert(other.index);
  const Namespace* space = space_of(port.config);
  for (const kernel::PortStatus& left : steering_.unclaimed_ports()) {
    const bool same = port.link && left.alive && left.ifindex == port.link->ifindex && space != nullptr &&
                      left.netns_inode == space->inode;
    if (same && !taken.contains(left.port_index)) return left.port_index;
    taken.insert(left.port_index);
  }
  std::uint32_t index = 0;
  while (taken.contains(index)) ++index;
  return index;
}

void PortReconciler::configure(const std::vector<config::Port>& wanted, const DataplaneClient* client) {
  std::vector<PortState> next;
  for (const config::Port& port : wanted) {
    const auto known = std::find_if(ports_.begin(), ports_.end(), [&](const PortState& state) {
      return same_port(state.config, port) && state.config.queues == port.queues &&
             state.config.verify_checksums == port.verify_checksums && state.config.large_frames == port.large_frames;
    });
    if (known != ports_.end()) {
      next.push_back(std::move(*known));
      ports_.erase(known);
    } else {
      next.emplace_back();
      next.back().index = kNoIndex;
    }
    next.back().config = port;
    next.back().not_before = {};
  }
  removed_.insert(removed_.end(), std::make_move_iterator(ports_.begin()), std::make_move_iterator(ports_.end()));
  ports_ = std::move(next);
  refresh_namespaces();
  for (PortState& port : ports_) {
    look(port);
    if (port.index == kNoIndex) port.index = index_for(port);
  }
  if (client != nullptr) dataplane_changed(client);
}

Problems PortReconciler::missing() {
  Problems out;
  for (PortState& port : ports_) {
    look(port);
    if (port.config.optional) continue;
    const Namespace* space = space_of(port.config);
    const std::string place = "port " + label(port.config);
    if (space != nullptr && !space->error.empty())
      out.push_back({place, space->error, "create the namespace, or mark the port optional: true"});
    else if (!port.link)
      out.push_back({place, "there is no such interface", "create it, correct the name, or mark it optional: true"});
    else if (!port.link->up)
      out.push_back({place, "the interface is down", "ip link set dev " + port.config.name + " up"});
  }
  return out;
}

void PortReconciler::dataplane_changed(const DataplaneClient* client) {
  for (PortState& port : ports_) {
    port.served = false;
    port.not_before = {};
    if (client == nullptr) continue;
    for (const v1::PortState& told : client->hello().message.ports())
      if (told.index() == port.index && told.name() == port.config.name && told.up() && port.link &&
          told.ifindex() == port.link->ifindex) {
        port.served = true;
        port.queues = told.queues();
        port.in_use = *port.link;  // else advance() takes the adopted port for a changed one and replaces it
      }
  }
}

Task<void> PortReconciler::remove_strangers(DataplaneClient::Pointer client) {
  if (const std::size_t count = steering_.detach_unclaimed(); count > 0)
    spdlog::info("{} ports of a predecessor released", count);
  for (const v1::PortState& told : client->hello().message.ports()) {
    const auto ours = [&](const PortState& port) { return port.index == told.index() && port.served; };
    if (std::any_of(ports_.begin(), ports_.end(), ours)) continue;
    v1::Envelope envelope;
    envelope.mutable_remove_port()->set_index(told.index());
    const Status removed = co_await client->request(std::move(envelope));
    if (!removed) spdlog::warn("port {}: {}", told.name(), removed.error().text());
  }
}

void PortReconciler::dataplane_lost_port(std::uint32_t index, const std::string& why) {
  for (PortState& port : ports_)
    if (port.index == index) {
      port.served = false;
      port.error = "the dataplane lost it: " + why;
    }
}

void PortReconciler::retry_failed() {
  for (PortState& port : ports_)
    if (port.self_test == "failed") port.self_test = "pending";
}

void PortReconciler::fail(PortState& port, const Problem& problem) {
  if (port.error != problem.text()) spdlog::error("port {}: {}", label(port.config), problem.text());
  port.error = problem.text();
}

Task<void> PortReconciler::take_back(PortState& port, DataplaneClient::Pointer client) {
  if (!port.served || !client) co_return;
  v1::Envelope envelope;
  envelope.mutable_remove_port()->set_index(port.index);
  const Status removed = co_await client->request(std::move(envelope));
  if (!removed) spdlog::warn("port {}: {}", label(port.config), removed.error().text());
  port.served = false;
}

Task<void> PortReconciler::undo(PortState& port, DataplaneClient::Pointer client) {
  co_await take_back(port, client);
  if (port.attached) {
    const Status detached = steering_.detach_port(port.index);
    if (!detached) spdlog::warn("port {}: {}", label(port.config), detached.error().text());
    spdlog::info("port {} released", label(port.config));
  }
  port.served = port.attached = port.enabled = false;
  port.self_test = "pending";
}

Result<bool> PortReconciler::attach(PortState& port) {
  Namespace* space = space_of(port.config);
  kernel::PortSpec spec{port.config.name, port.link->ifindex, port.index, space->fd ? space->fd.get() : -1,
                        port.config.large_frames};
  const auto attached = steering_.attach_port(spec);
  if (!attached) return attached.error();
  port.attached = true;
  port.in_use = *port.link;
  port.generic = attached->generic;
  port.enabled = attached->enabled;
  // An adopted port that steers has passed its test under the predecessor.
  if (attached->adopted && attached->enabled) port.self_test = "passed";
  spdlog::info("port {}: {} ifindex {}{}", label(port.config), attached->adopted ? "adopted" : "attached",
               port.link->ifindex, attached->replaced ? ", program replaced" : "");
  return attached->adopted;
}

Task<Status> PortReconciler::hand_over(PortState& port, DataplaneClient::Pointer client) {
  Namespace* space = space_of(port.config);
  const int netns = space->fd ? space->fd.get() : -1;
  port.queues = port.config.queues ? *port.config.queues : kernel::rx_queue_count(port.config.name, netns);
  v1::Envelope envelope;
  v1::AddPort& add = *envelope.mutable_add_port();
  add.set_index(port.index);
  add.set_name(port.config.name);
  add.set_ifindex(port.link->ifindex);
  add.set_netns_fd(netns >= 0);
  add.set_queues(port.queues);
  add.set_mac(port.link->mac.octets.data(), port.link->mac.octets.size());
  add.set_mtu(port.link->mtu);
  add.set_large_frames(port.config.large_frames);
  add.set_verify_checksums(verifies_checksums(port));
  std::vector<int> fds;
  if (netns >= 0) fds.push_back(netns);
  const Status added = co_await client->request(std::move(envelope), std::move(fds));
  port.served = added.ok();
  port.in_use = *port.link;
  co_return added;
}

Status PortReconciler::enable_and_test(PortState& port, const DataplaneClient& client) {
  if (!port.enabled) {
    if (const Status enabled = steering_.set_enabled(port.index, true); !enabled) return enabled;
    port.enabled = true;
  }
  if (port.self_test == "passed") return Done{};
  const auto probes = [&] {
    std::uint64_t sum = 0;
    for (std::size_t w = 0; w < client.segment().worker_count(); ++w)
      sum += client.segment().counters(w).ports[port.index].probes.read();
    return sum;
  };
  const Status tested = steering_.self_test(port.index, probes);
  port.self_test = tested ? "passed" : "failed";
  if (tested) return Done{};
  port.enabled = false;
  (void)steering_.set_enabled(port.index, false);
  return Problem{"self-test", tested.error().text(), "steering is off on this port; its traffic takes the kernel path"};
}

Task<void> PortReconciler::advance(PortState& port, DataplaneClient::Pointer client, bool enable) {
  look(port);
  if (const Namespace* space = space_of(port.config))
    if (space->fallen.contains(port.in_use.ifindex)) port.not_before = {};
  const bool lost = port.attached && (!port.link || port.link->ifindex != port.in_use.ifindex);
  const bool changed = port.link && (port.link->ifindex != port.in_use.ifindex || port.link->mtu != port.in_use.mtu ||
                                     port.link->mac != port.in_use.mac);
  if (lost || (port.served && changed)) co_await undo(port, client);
  if (!port.link || !port.link->up) {
    const Namespace* space = space_of(port.config);
    port.error = space != nullptr && !space->error.empty() ? space->error
                 : !port.link                              ? "the interface is absent"
                                                           : "the interface is down";
    co_return;
  }
  if (!port.attached && !changed && std::chrono::steady_clock::now() < port.not_before) co_return;
  Status done = Done{};
  if (!port.attached) {
    const Result<bool> adopted = attach(port);
    if (!adopted) done = adopted.error();
    // A fresh program has no sockets: a surviving dataplane's are in the map of the one before.
    if (adopted && !*adopted) co_await take_back(port, client);
  }
  if (done && !port.served && client) {
    done = co_await hand_over(port, client);
    if (done && port.self_test == "failed") port.self_test = "pending";
    if (!done && port.config.large_frames) {  // a program in generic mode costs the pod, so not for nothing
      co_await undo(port, client);
      port.not_before = std::chrono::steady_clock::now() + kRefusedWait;
    }
  }
  if (done && enable && port.served && client && port.self_test != "failed") done = enable_and_test(port, *client);
  if (!done) {
    fail(port, done.error());
  } else if (port.self_test != "failed") {
    port.error.clear();
  }
}

Task<void> PortReconciler::reconcile(DataplaneClient::Pointer client, bool enable) {
  refresh_namespaces();
  for (auto& [key, space] : spaces_) {
    space->drain();
    space->fallen = std::exchange(space->falling, {});
  }
  std::vector<PortState> gone = std::move(removed_);
  removed_.clear();
  for (PortState& port : gone) co_await undo(port, client);
  // configure() is called by the same coroutine, so the vector stays as it is meanwhile.
  for (PortState& port : ports_) co_await advance(port, client, enable);
}

std::vector<std::string> PortReconciler::local_interfaces() const {
  std::vector<std::string> out;
  for (const PortState& port : ports_)
    if (!port.config.netns && port.link) out.push_back(port.config.name);
  return out;
}

bool PortReconciler::all_required_steer() const {
  return std::all_of(ports_.begin(), ports_.end(), [](const PortState& port) {
    return port.config.optional ? (!port.link || port.enabled) : port.served && port.enabled;
  });
}

}  // namespace penstock::daemon
