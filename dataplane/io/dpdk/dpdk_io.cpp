#include "dataplane/io/dpdk/dpdk_io.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/io/dpdk/large_receiver.h"
#include "dataplane/io/dpdk/train_socket.h"

namespace penstock::io {
namespace {

std::unique_ptr<QueueSet> empty_set(int event_fd) {
  auto set = std::make_unique<QueueSet>();
  set->transmit.fill(kNoDevice);
  set->trains.fill(-1);
  set->polled.push_back({event_fd, POLLIN, 0});
  return set;
}

/// Room behind the frame. The driver's buffers are kBufferOctets of data each, headroom included.
RawFrame raw_of(rte_mbuf& mbuf, PortIndex port) {
  return {rte_pktmbuf_mtod(&mbuf, std::byte*),
          &mbuf,
          mbuf.data_len,
          mbuf.data_off,
          static_cast<std::uint16_t>(mbuf.buf_len - mbuf.data_off - mbuf.data_len),
          port};
}

rte_mbuf* mbuf_of(const RawFrame& raw) {
  auto* mbuf = static_cast<rte_mbuf*>(raw.handle);
  mbuf->data_off = raw.headroom;
  mbuf->data_len = raw.octets;
  mbuf->pkt_len = raw.octets;
  return mbuf;
}

}  // namespace

DpdkIo::DpdkIo() : event_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)}, newest_{empty_set(event_.get())} {
  require(static_cast<bool>(event_), "no eventfd for a worker");
  current_ = newest_.get();
  posted_.store(current_);
  in_use_.store(current_);
}

DpdkIo::~DpdkIo() = default;

void DpdkIo::adopt() {
  QueueSet* next = posted_.load(std::memory_order_acquire);
  if (next == current_) return;
  current_ = next;
  cursor_ = 0;
  in_use_.store(next, std::memory_order_release);
}

void DpdkIo::post(std::unique_ptr<QueueSet> set) {
  require(adopted(), "queue set posted before the last was adopted");
  set->polled.insert(set->polled.begin(), pollfd{event_.get(), POLLIN, 0});
  retired_ = std::move(newest_);
  newest_ = std::move(set);
  posted_.store(newest_.get(), std::memory_order_release);
  wake();
}

bool DpdkIo::adopted() const {
  return in_use_.load(std::memory_order_acquire) == posted_.load(std::memory_order_relaxed);
}

std::size_t DpdkIo::receive(std::span<Frame> into) {
  adopt();
  const std::vector<QueueSet::Receive>& queues = current_->receive;
  const std::size_t room = std::min(into.size(), kBurstMax);
  std::size_t filled = 0;
  for (std::size_t turn = 0; turn < queues.size() && filled < room; ++turn) {
    const QueueSet::Receive queue = queues[cursor_];
    cursor_ = cursor_ + 1 == queues.size() ? 0 : cursor_ + 1;
    std::array<rte_mbuf*, kBurstMax> burst;
    const std::size_t got = queue.large != nullptr ? queue.large->receive(std::span{burst}.first(room - filled))
                                                   : rte_eth_rx_burst(queue.device, 0, burst.data(),
                                                                      static_cast<std::uint16_t>(room - filled));
    for (std::size_t i = 0; i < got; ++i) rte_prefetch0(rte_pktmbuf_mtod(burst[i], void*));
    for (std::size_t i = 0; i < got; ++i) into[filled++] = Frame{raw_of(*burst[i], queue.port)};
  }
  return filled;
}

std::size_t DpdkIo::transmit(PortIndex port, std::span<Frame> frames) {
  if (!can_transmit(port)) return 0;
  const std::uint16_t device = current_->transmit[port];
  const int trains = current_->trains[port];
  const std::size_t mtu = current_->mtus[port];
  std::size_t sent = 0;    // gone
  std::size_t single = 0;  // looked at behind those: no trains
  while (sent + single < frames.size()) {
    const std::span<Frame> rest = frames.subspan(sent + single);
    const Train train = trains < 0 ? Train{} : find_train(rest, mtu);
    const bool above = is_above(rest.front().bytes(), mtu);
    if (!train.found() && !above) {
      if (rest.front().octets() >= kPartialSumOctetsMin) complete_checksum(rest.front().bytes());
      ++single;
      continue;
    }
    // What stands in front leaves first.
    const std::size_t taken = transmit_single(device, frames.subspan(sent, single));
    sent += taken;
    if (taken < single) return sent;
    single = 0;
    if (train.found() && send_train(trains, train, rest)) {
      drop(rest.first(train.frames));
      sent += train.frames;
    } else if (!above) {
      const auto fits = [mtu](const Frame& frame) { return !is_above(frame.bytes(), mtu); };
      const auto end = rest.begin() + static_cast<std::ptrdiff_t>(train.frames);
      single = static_cast<std::size_t>(std::find_if_not(rest.begin(), end, fits) - rest.begin());
      for (Frame& frame : rest.first(single)) complete_checksum(frame.bytes());
    } else if (const Cut cut = transmit_cut(device, rest.front(), mtu); cut == Cut::sent) {
      ++sent;
    } else if (cut == Cut::refused) {
      single = 1;
    } else {
      return sent;
    }
  }
  return sent + transmit_single(device, frames.subspan(sent, single));
}

std::size_t DpdkIo::transmit_single(std::uint16_t device, std::span<Frame> frames) {
  std::size_t sent = 0;
  while (sent < frames.size()) {
    std::array<RawFrame, kBurstMax> raw;
    std::array<rte_mbuf*, kBurstMax> burst;
    const std::size_t count = std::min(frames.size() - sent, kBurstMax);
    for (std::size_t i = 0; i < count; ++i) {
      raw[i] = std::move(frames[sent + i]).release();
      burst[i] = mbuf_of(raw[i]);
    }
    const std::size_t taken = rte_eth_tx_burst(device, 0, burst.data(), static_cast<std::uint16_t>(count));
    for (std::size_t i = taken; i < count; ++i) frames[sent + i] = Frame{raw[i]};
    sent += taken;
    if (taken < count) break;
  }
  return sent;
}

DpdkIo::Cut DpdkIo::transmit_cut(std::uint16_t device, Frame& frame, std::size_t mtu) {
  constexpr std::size_t kPiecesMax = 8;  // of one buffer; only an MTU that TCP never sees would need more
  const ByteView whole = frame.bytes();
  LargeSegment large;
  std::array<Frame, kPiecesMax> pieces;
  if (!large.read({&whole, 1}, mtu, true) || large.pieces() > kPiecesMax) return Cut::refused;
  const std::span<Frame> used = std::span{pieces}.first(large.pieces());
  if (const std::size_t got = allocate(used); got < used.size()) {
    drop(used.first(got));
    return Cut::full;
  }
  for (Frame& piece : used) {
    require(piece.set_octets(static_cast<std::uint16_t>(whole.size())), "a frame above a fresh buffer");
    require(piece.set_octets(static_cast<std::uint16_t>(large.write_next(piece.bytes()))), "a piece above the whole");
  }
  const std::size_t taken = transmit_single(device, used);
  drop(used.subspan(taken));  // behind the first, a piece that finds no room is lost as on a wire
  if (taken == 0) return Cut::full;
  drop({&frame, 1});
  return Cut::sent;
}

void DpdkIo::drop(std::span<Frame> frames) {
  std::array<rte_mbuf*, kBurstMax> burst;
  while (!frames.empty()) {
    const std::size_t count = std::min(frames.size(), burst.size());
    for (std::size_t i = 0; i < count; ++i) burst[i] = static_cast<rte_mbuf*>(std::move(frames[i]).release().handle);
    rte_pktmbuf_free_bulk(burst.data(), static_cast<unsigned>(count));
    frames = frames.subspan(count);
  }
}

std::size_t DpdkIo::allocate(std::span<Frame> into) {
  std::array<rte_mbuf*, kBurstMax> burst;
  const std::size_t count = std::min(into.size(), kBurstMax);
  // All or nothing, as the pool does it; a caller that wants fewer asks again for fewer.
  if (current_->pool == nullptr ||
      rte_pktmbuf_alloc_bulk(current_->pool, burst.data(), static_cast<unsigned>(count)) != 0)
    return 0;
  for (std::size_t i = 0; i < count; ++i) {
    burst[i]->data_off = kMadeHeadroom;
    into[i] = Frame{raw_of(*burst[i], kNoPort)};
  }
  return count;
}

Frame DpdkIo::share(const RawFrame& buffer) {
  rte_mbuf_refcnt_update(static_cast<rte_mbuf*>(buffer.handle), 1);
  return Frame{buffer};
}

bool DpdkIo::is_sole_owner(const RawFrame& buffer) const {
  return rte_mbuf_refcnt_read(static_cast<const rte_mbuf*>(buffer.handle)) == 1;
}

bool DpdkIo::can_transmit(PortIndex port) const {
  return port < current_->transmit.size() && current_->transmit[port] != kNoDevice;
}

bool DpdkIo::poll(std::size_t count, Duration at_most) {
  std::vector<pollfd>& polled = current_->polled;
  const auto ns = std::max<Duration::rep>(at_most.count(), 0);
  const timespec timeout{ns / 1'000'000'000, ns % 1'000'000'000};
  if (::ppoll(polled.data(), count, &timeout, nullptr) <= 0) return false;
  if (polled[0].revents != 0) {
    std::uint64_t rings;
    [[maybe_unused]] const ssize_t octets = ::read(event_.get(), &rings, sizeof rings);
  }
  return true;
}

void DpdkIo::rest(Duration duration) { static_cast<void>(poll(1, duration)); }

void DpdkIo::wait(Duration at_most) {
  adopt();
  std::vector<pollfd>& polled = current_->polled;
  if (!poll(polled.size(), at_most)) return;
  // A socket whose interface vanished would make every poll return at once; the control thread removes it soon.
  for (std::size_t i = 1; i < polled.size(); ++i)
    if ((polled[i].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0) polled[i].fd = -1;
}

void DpdkIo::wake() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t octets = ::write(event_.get(), &one, sizeof one);
}

}  // namespace penstock::io
