#include "dataplane/app/dataplane.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>
#include <thread>

#include "dataplane/app/version.h"

namespace penstock::app {
namespace {

namespace v1 = control::v1;
using std::chrono::milliseconds;

constexpr milliseconds kResolveDebounce{10};
// A full look at 32768 endpoints takes about a second; a storm of route events must not eat the control thread.
constexpr int kResolvePauseFactor = 10;
constexpr milliseconds kRefreshPeriod{1000};
constexpr std::size_t kRefreshEntries = 128;
constexpr std::chrono::microseconds kAdoptionPoll{100};

std::uint64_t realtime_ns() {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(t.tv_nsec);
}

}  // namespace

Instant monotonic_now() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return Instant{std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec}};
}

Result<std::unique_ptr<Dataplane>> Dataplane::start(const Options& options) {
  std::unique_ptr<Dataplane> out{new Dataplane};  // check_layers: allow(banned) private constructor
  auto runtime = io::DpdkRuntime::start(options.runtime());
  if (!runtime) return runtime.error();
  out->runtime_ = std::move(*runtime);
  auto memory = SharedMemory::create("penstock-segment", control::segment_octets(options.workers), false);
  if (!memory) return memory.error();
  out->segment_memory_ = std::move(*memory);
  control::format_segment(out->segment_memory_.bytes(), options.workers, realtime_ns());
  auto segment = control::SegmentView::open(out->segment_memory_.bytes());
  if (!segment) return segment.error();
  out->segment_ = *segment;
  out->publisher_ = std::make_unique<worker::ViewPublisher>(out->exchange_, options.workers);
  auto workers = WorkerPool::create(options, out->segment_, out->exchange_, out->runtime_->hugepages());
  if (!workers) return workers.error();
  out->workers_ = std::move(*workers);
  out->table_ = std::make_unique<io::PortTable>(*out->runtime_, out->workers_->ios());
  out->tell_time();
  out->workers_->start();
  out->table_->set_workers_running(true);
  if (auto published = out->publish_view(); !published) return published.error();
  return out;
}

Dataplane::~Dataplane() {
  if (workers_) workers_->stop();
  if (table_) table_->set_workers_running(false);
  if (workers_)
    for (std::size_t i = 0; i < workers_->size(); ++i) workers_->worker(i).set_heartbeat(nullptr);
}

Status Dataplane::publish_view() {
  auto view = std::make_unique<worker::WorkerView>();
  view->snapshot = snapshot_;
  view->storage = storage_;
  view->next_hops = watch_.table();
  view->endpoint_next_hops = endpoint_next_hops_;
  view->ports = ports_;
  worker::build_view_index(*view);
  view->http = http_;
  const std::uint64_t generation = publisher_->publish(std::move(view));
  workers_->wake_all();
  const Instant end = monotonic_now() + kAdoptionWait;
  while (workers_->running() && !publisher_->adopted_by_all(generation)) {
    if (monotonic_now() > end)
      return Problem{"worker", "did not adopt a change in time", "it is stuck or the machine is overloaded"};
    std::this_thread::sleep_for(kAdoptionPoll);
  }
  publisher_->collect();
  return Done{};
}

/// Workers read no wall clock: they are told how far it is from theirs.
void Dataplane::tell_time() {
  const auto ahead = static_cast<std::int64_t>(realtime_ns() - to_nanoseconds(monotonic_now()));
  for (std::size_t i = 0; i < workers_->size(); ++i) workers_->worker(i).set_wall_offset(ahead);
}

void Dataplane::wait_for_next_hops() {
  const Instant end = monotonic_now() + kResolveWait;
  watch_.resolve();
  while (watch_.pending() && monotonic_now() < end) {
    std::vector<pollfd> waiting;
    for (const int fd : watch_.event_fds()) waiting.push_back({fd, POLLIN, 0});
    ::poll(waiting.data(), waiting.size(), 20);
    on_events();
    if (watch_.dirty()) watch_.resolve();
  }
}

Status Dataplane::add_port(const v1::AddPort& message, Fd netns) {
  const std::string& name = message.name();
  if (message.index() >= control::kPortMax || message.mac().size() != 6 || message.ifindex() == 0 ||
      message.queues() == 0 || message.queues() > control::kQueueMax || message.mtu() == 0)
    return Problem{name, "AddPort is incomplete or out of range", "index, ifindex, queues, mac and mtu are needed"};
  const auto index = static_cast<PortIndex>(message.index());
  if (table_->find(index) != nullptr)
    return Problem{name, "port index is in use by " + table_->find(index)->options().name, ""};
  Fd own_copy{netns ? ::dup(netns.get()) : -1};
  worker::WorkerPort& port = ports_[index];
  port.present = true;
  port.cuts = true;  // DpdkIo does, and has the kernel do it where it can
  port.verify_checksums = message.verify_checksums();
  port.redirect_target = redirect_target(index);
  port.mtu = static_cast<std::uint16_t>(message.mtu());
  port.queues = static_cast<std::uint16_t>(message.queues());
  std::copy(message.mac().begin(), message.mac().end(), port.mac.octets.begin());
  // Workers know the port before its first frame arrives.
  Status status = publish_view();
  if (status) {
    status = table_->add({.index = index,
                          .name = name,
                          .ifindex = message.ifindex(),
                          .netns = std::move(netns),
                          .queues = message.queues(),
                          .mtu = message.mtu(),
                          .large_frames = message.large_frames(),
                          .verify_checksums = message.verify_checksums()});
    if (status) {
      had_port_ = true;
      status = watch_.add_port(index, message.ifindex(), own_copy.get());
      if (!status) static_cast<void>(table_->remove(index));
    }
  }
  if (!status) {
    port = {};
    static_cast<void>(publish_view());
    return status;
  }
  wait_for_next_hops();
  return publish_view();
}

Status Dataplane::remove_port(PortIndex index) {
  if (index >= control::kPortMax || table_->find(index) == nullptr)
    return Problem{"port " + std::to_string(index), "is not there", ""};
  watch_.remove_port(index);
  watch_.resolve();
  ports_[index] = {};
  if (auto published = publish_view(); !published) return published;
  return table_->remove(index);
}

Status Dataplane::publish_snapshot(const v1::PublishSnapshot& message, Fd memory) {
  if (!memory) return Problem{"snapshot", "came without its memory", ""};
  auto mapped = SharedMemory::open_sealed(std::move(memory));
  if (!mapped) return mapped.error();
  auto storage = std::make_shared<SharedMemory>(std::move(*mapped));
  if (message.octets() > storage->bytes().size()) return Problem{"snapshot", "is shorter than its message says", ""};
  auto view = control::SnapshotView::open(storage->bytes().first(static_cast<std::size_t>(message.octets())));
  if (!view) return view.error();
  if (view->epoch() != message.epoch()) return Problem{"snapshot", "has another epoch than its message", ""};
  // Route tables are loaded once per snapshot; a table that is not sound refuses the snapshot.
  worker::WorkerView tables;
  tables.snapshot = *view;
  if (auto built = worker::build_http_view(tables, static_cast<std::uint32_t>(workers_->size()), http_.get()); !built)
    return built.error();
  http_ = std::move(tables.http);
  std::vector<IpAddress> addresses;
  for (const control::EndpointRecord& endpoint : view->endpoints()) addresses.push_back(endpoint.address);
  endpoint_next_hops_ = watch_.want(addresses);
  wait_for_next_hops();
  snapshot_ = *view;
  storage_ = std::move(storage);
  return publish_view();
}

Status Dataplane::set_heartbeats(Fd map) {
  if (!map) return Problem{"heartbeats", "came without the map", ""};
  auto opened = HeartbeatMap::open(std::move(map), workers_->size());
  if (!opened) return opened.error();
  // A restarted daemon brings the same map again. Older maps stay mapped: a worker may be writing.
  if (!heartbeats_.empty() && heartbeats_.back().id() == opened->id()) return Done{};
  heartbeats_.push_back(std::move(*opened));
  for (std::size_t i = 0; i < workers_->size(); ++i) workers_->worker(i).set_heartbeat(heartbeats_.back().slot(i));
  workers_->wake_all();
  return Done{};
}

/// The first maps, and other ones than before, hold what a predecessor or nobody wrote: they are emptied before a
/// worker sees them, and flows that are in them come to the workers by that.
///
/// Nothing takes entries out when this process ends, in order or not. Whoever ends it restarts it, and flows that are
/// forwarded meanwhile never notice; the successor restores their records and empties the maps by this same way. A
/// daemon that ends for good removes the programs, and with them the maps.
Status Dataplane::set_forwards(const v1::Forwards& message, std::vector<Fd> maps) {
  if (maps.size() != 2) return Problem{"forwards", "came without its two maps", ""};
  auto opened = ForwardMaps::open(std::move(maps[0]), std::move(maps[1]));
  if (!opened) return opened.error();
  const bool known = !forward_maps_.empty() && forward_maps_.back().same(*opened);
  if (known && message.ports() == forward_ports_) return Done{};
  if (!known) {
    if (auto cleared = opened->clear(); !cleared) return cleared;
    // Older slots stay mapped: a worker may be reading.
    forward_maps_.push_back(std::move(*opened));
    for (std::size_t i = 0; i < workers_->size(); ++i) workers_->forwards(i).set_slots(forward_maps_.back().slots());
  }
  forward_ports_ = message.ports();
  for (PortIndex index = 0; index < control::kPortMax; ++index)
    ports_[index].redirect_target = ports_[index].present && redirect_target(index);
  return publish_view();
}

void Dataplane::serve_forwards() {
  if (forward_maps_.empty()) return;
  std::size_t left = kForwardOrdersPerTurn;
  for (std::size_t i = 0; i < workers_->size(); ++i) {
    worker::ForwardExchange& exchange = workers_->forwards(i);
    exchange.awake();
    worker::ForwardOrder order;
    for (; left != 0 && exchange.next(order); --left)
      exchange.acknowledge(order, forward_maps_.back().carry_out(order));
  }
}

/// False when there are orders already.
bool Dataplane::sleep_on_forwards() {
  bool idle = true;
  for (std::size_t i = 0; i < workers_->size() && !forward_maps_.empty(); ++i)
    idle = workers_->forwards(i).sleep() && idle;
  return idle;
}

std::vector<int> Dataplane::event_fds() const {
  std::vector<int> fds = watch_.event_fds();
  fds.push_back(workers_->forward_bell().get());
  return fds;
}

Status Dataplane::restore_flows(std::vector<Fd> arenas) {
  if (had_port_)
    return Problem{"restore", "comes too late: ports were added already", "restore before the first AddPort"};
  std::vector<SharedMemory> old;
  for (Fd& fd : arenas) {
    auto arena = SharedMemory::open_read_only(std::move(fd));
    if (!arena) return arena.error();
    old.push_back(std::move(*arena));
  }
  // Nothing is forwarded yet, so stopping the threads for a moment costs nothing.
  workers_->stop();
  const Instant now = monotonic_now();
  for (std::size_t i = 0; i < workers_->size(); ++i)
    for (const SharedMemory& arena : old) static_cast<void>(workers_->worker(i).restore(arena.bytes(), now));
  workers_->start();
  return Done{};
}

void Dataplane::lose_port(PortIndex index, const std::string& reason) {
  if (table_->find(index) == nullptr) return;
  static_cast<void>(remove_port(index));
  lost_.push_back({index, reason});
}

void Dataplane::on_events() {
  std::uint64_t rings = 0;
  if (::read(workers_->forward_bell().get(), &rings, sizeof rings) > 0) serve_forwards();
  for (const PortIndex port : watch_.read_events()) lose_port(port, "the interface is gone");
}

Duration Dataplane::on_time(Instant now) {
  bool changed = false;
  if (watch_.dirty() && now >= resolve_not_before_) {
    changed = watch_.resolve();
    const Instant done = monotonic_now();
    resolve_not_before_ = done + std::max<Duration>(kResolveDebounce, (done - now) * kResolvePauseFactor);
  }
  if (now - last_refresh_ >= kRefreshPeriod) {
    tell_time();
    changed |= watch_.refresh(kRefreshEntries);
    last_refresh_ = now;
    publisher_->collect();
  }
  if (changed) static_cast<void>(publish_view());
  serve_forwards();
  if (!sleep_on_forwards()) return Duration{};
  if (!watch_.dirty()) return kRefreshPeriod;
  return std::clamp<Duration>(resolve_not_before_ - now, milliseconds{1}, kRefreshPeriod);
}

v1::PortState Dataplane::port_state(const io::DpdkPort& port) const {
  v1::PortState state;
  state.set_index(port.options().index);
  state.set_name(port.options().name);
  state.set_ifindex(port.options().ifindex);
  state.set_queues(port.options().queues);
  state.set_up(true);
  const io::PortStats stats = port.stats();
  state.set_rx_dropped(stats.rx_dropped);
  state.set_rx_ring_full(stats.rx_ring_full);
  state.set_rx_fill_empty(stats.rx_fill_empty);
  state.set_tx_invalid(stats.tx_invalid);
  return state;
}

v1::State Dataplane::state() const {
  v1::State state;
  state.set_epoch(snapshot_.epoch());
  state.set_free_buffers(runtime_->free_buffers());
  for (PortIndex index = 0; index < control::kPortMax; ++index)
    if (const io::DpdkPort* port = table_->find(index)) *state.add_ports() = port_state(*port);
  // A State must fit one message; what exceeds that is left out.
  constexpr std::size_t kHopsMax = 800;
  for (std::size_t i = 0; i < std::min(kHopsMax, watch_.entries().size()); ++i) {
    const control::NextHop& hop = watch_.table()[i];
    if (!watch_.entries()[i].wanted) continue;
    v1::NextHopState& out = *state.add_next_hops();
    out.set_address(watch_.entries()[i].address.octets.data(), 16);
    out.set_mac(hop.destination.octets.data(), 6);
    out.set_port(hop.port);
    out.set_resolved(hop.resolved());
  }
  return state;
}

v1::Hello Dataplane::hello() const {
  v1::Hello hello;
  hello.set_protocol_major(control::kProtocolMajor);
  hello.set_protocol_minor(control::kProtocolMinor);
  hello.set_build(std::string{"penstock-dataplane "} + kVersion);
  hello.set_boot_epoch(segment_.boot_epoch());
  hello.set_worker_count(static_cast<std::uint32_t>(workers_->size()));
  hello.set_connection_arenas(static_cast<std::uint32_t>(workers_->size()));
  hello.set_pid(static_cast<std::uint32_t>(::getpid()));
  hello.set_hugepages(runtime_->hugepages());
  if (!warning().empty()) hello.add_warnings(warning());
  hello.set_epoch(snapshot_.epoch());
  hello.set_content_hash(snapshot_.epoch() == 0 ? 0 : snapshot_.content_hash());
  for (PortIndex index = 0; index < control::kPortMax; ++index)
    if (const io::DpdkPort* port = table_->find(index)) *hello.add_ports() = port_state(*port);
  return hello;
}

Result<std::vector<Fd>> Dataplane::hello_fds(bool reader) const {
  std::vector<Fd> fds;
  const auto add = [&fds, reader](const SharedMemory& memory) -> Status {
    if (!reader) {
      fds.emplace_back(::dup(memory.fd()));
      return Done{};
    }
    auto fd = memory.reader_fd();
    if (!fd) return fd.error();
    fds.push_back(std::move(*fd));
    return Done{};
  };
  if (auto added = add(segment_memory_); !added) return added.error();
  if (!reader) {
    for (std::size_t i = 0; i < workers_->size(); ++i) fds.emplace_back(::dup(workers_->question_fd(i)));
    for (std::size_t i = 0; i < workers_->size(); ++i) fds.emplace_back(::dup(workers_->answer_fd(i)));
  }
  for (std::size_t i = 0; i < workers_->size(); ++i)
    if (auto added = add(workers_->arena(i)); !added) return added.error();
  for (std::size_t i = 0; i < workers_->size(); ++i)
    if (auto added = add(workers_->connection_arena(i)); !added) return added.error();
  return fds;
}

}  // namespace penstock::app
