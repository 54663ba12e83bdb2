#include "dataplane/io/dpdk/large_receiver.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include <algorithm>

namespace penstock::io {
namespace {

constexpr std::uint32_t kContinued = 1;  // XDP_PKT_CONTD; Debian's kernel header is older

std::uint64_t address_of(const QueueCapture& queue, const rte_mempool& pool, const rte_mbuf* buffer) {
  return static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(buffer) -
                                    static_cast<const std::byte*>(queue.area) - pool.header_size);
}

}  // namespace

LargeReceiver::~LargeReceiver() {
  rte_pktmbuf_free_bulk(pending_.data() + head_, static_cast<unsigned>(tail_ - head_));
  rte_pktmbuf_free_bulk(free_.data(), static_cast<unsigned>(freed_));
}

rte_mbuf* LargeReceiver::buffer_of(std::uint64_t address, std::uint32_t octets) const {
  std::byte* const base = static_cast<std::byte*>(queue_.area) + xsk_umem__extract_addr(address) + pool_->header_size;
  auto* buffer = reinterpret_cast<rte_mbuf*>(base);
  buffer->data_off = static_cast<std::uint16_t>(xsk_umem__extract_offset(address) - sizeof(rte_mbuf) -
                                                rte_pktmbuf_priv_size(pool_) - pool_->header_size);
  buffer->data_len = static_cast<std::uint16_t>(octets);
  buffer->pkt_len = octets;
  return buffer;
}

void LargeReceiver::take_frame(std::span<rte_mbuf*> chunks) {
  if (chunks.size() == 1) {
    pending_[tail_++] = chunks[0];
    ++owed_;
    return;
  }
  std::array<ByteView, kPeekMax> views;
  for (std::size_t i = 0; i < chunks.size(); ++i)
    views[i] = {rte_pktmbuf_mtod(chunks[i], const std::byte*), chunks[i]->data_len};
  std::copy(chunks.begin(), chunks.end(), free_.begin() + static_cast<std::ptrdiff_t>(freed_));
  freed_ += chunks.size();
  LargeSegment large;
  std::array<rte_mbuf*, kPiecesMax> pieces;
  if (!large.read({views.data(), chunks.size()}, mtu_, whole_sums_) || large.pieces() > kPiecesMax ||
      rte_pktmbuf_alloc_bulk(pool_, pieces.data(), static_cast<unsigned>(large.pieces())) != 0) {
    dropped_.store(dropped_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  for (std::size_t i = 0; i < large.pieces(); ++i) {
    rte_mbuf& piece = *pieces[i];
    const ByteSpan room{rte_pktmbuf_mtod(&piece, std::byte*), std::size_t{piece.buf_len} - piece.data_off};
    piece.data_len = static_cast<std::uint16_t>(large.write_next(room));
    piece.pkt_len = piece.data_len;
    pending_[tail_++] = &piece;
  }
}

void LargeReceiver::read_ring() {
  std::uint32_t at = 0;
  const std::uint32_t count = xsk_ring_cons__peek(queue_.rx, kPeekMax, &at);
  std::array<rte_mbuf*, kPeekMax> chunks;
  std::uint32_t begin = 0;  // of the frame that is being read
  for (std::uint32_t i = 0; i < count && kPendingMax - tail_ >= kPiecesMax; ++i) {
    const xdp_desc& desc = *xsk_ring_cons__rx_desc(queue_.rx, at + i);
    chunks[i] = buffer_of(desc.addr, desc.len);
    rte_prefetch0(rte_pktmbuf_mtod(chunks[i], void*));
    if ((desc.options & kContinued) != 0) continue;
    take_frame({chunks.data() + begin, i + 1 - begin});
    begin = i + 1;
  }
  xsk_ring_cons__cancel(queue_.rx, count - begin);  // a frame that ends behind what was peeked comes again
  if (begin > 0) xsk_ring_cons__release(queue_.rx, begin);
}

void LargeReceiver::refill() {
  std::array<rte_mbuf*, kPeekMax> fresh;
  const std::size_t wanted = std::min(owed_, fresh.size());
  const bool got = wanted > 0 && rte_pktmbuf_alloc_bulk(pool_, fresh.data(), static_cast<unsigned>(wanted)) == 0;
  const std::size_t count = freed_ + (got ? wanted : 0);
  if (count == 0) return;
  std::uint32_t at = 0;
  if (xsk_ring_prod__reserve(queue_.fill, static_cast<std::uint32_t>(count), &at) != count) {  // it is full enough
    if (got) rte_pktmbuf_free_bulk(fresh.data(), static_cast<unsigned>(wanted));
    rte_pktmbuf_free_bulk(free_.data(), static_cast<unsigned>(freed_));
    freed_ = owed_ = 0;
    return;
  }
  for (std::size_t i = 0; i < freed_; ++i)
    *xsk_ring_prod__fill_addr(queue_.fill, at++) = address_of(queue_, *pool_, free_[i]);
  for (std::size_t i = 0; got && i < wanted; ++i)
    *xsk_ring_prod__fill_addr(queue_.fill, at++) = address_of(queue_, *pool_, fresh[i]);
  xsk_ring_prod__submit(queue_.fill, static_cast<std::uint32_t>(count));
  if (got) owed_ -= wanted;
  freed_ = 0;
}

std::size_t LargeReceiver::receive(std::span<rte_mbuf*> into) {
  if (head_ == tail_) {
    head_ = tail_ = 0;
    if (owed_ > 0) refill();
    if (owed_ == 0) {
      read_ring();
      refill();
    }
  }
  const std::size_t count = std::min(into.size(), tail_ - head_);
  std::copy_n(pending_.begin() + static_cast<std::ptrdiff_t>(head_), count, into.begin());
  head_ += count;
  return count;
}

}  // namespace penstock::io
