#include "dataplane/io/dpdk/large_receiver.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>

#include <algorithm>

namespace penstock::io {
namespace {

static_assert(kPiecePacketOctets + 18 + RTE_PKTMBUF_HEADROOM <= RTE_MBUF_DEFAULT_BUF_SIZE);

constexpr std::uint32_t kContinued = 1;  // XDP_PKT_CONTD; Debian's kernel header is older

std::uint64_t address_of(const QueueCapture& queue, const rte_mempool& pool, const rte_mbuf* buffer) {
  return static_cast<std::uint64_t>(reinterpret_cast<const std::byte*>(buffer) -
                                    static_cast<const std::byte*>(queue.area) - pool.header_size);
}

}  // namespace

LargeReceiver::~LargeReceiver() {
  rte_pktmbuf_free_bulk(pending_.data() + head_, static_cast<unsigned>(tail_ - head_));
  for (std::size_t i = 0; i < freed_; ++i) rte_pktmbuf_free(buffer_at(free_[i]));
}

rte_mbuf* LargeReceiver::buffer_at(std::uint64_t base) const {
  return reinterpret_cast<rte_mbuf*>(static_cast<std::byte*>(queue_.area) + base + pool_->header_size);
}

void LargeReceiver::take_buffer(const xdp_desc& desc) {
  rte_mbuf* const buffer = buffer_at(xsk_umem__extract_addr(desc.addr));
  buffer->data_off = static_cast<std::uint16_t>(xsk_umem__extract_offset(desc.addr) - sizeof(rte_mbuf) -
                                                rte_pktmbuf_priv_size(pool_) - pool_->header_size);
  buffer->data_len = static_cast<std::uint16_t>(desc.len);
  buffer->pkt_len = desc.len;
  rte_prefetch0(rte_pktmbuf_mtod(buffer, void*));
  pending_[tail_++] = buffer;
  ++owed_;
}

void LargeReceiver::cut(std::span<const ByteView> chunks) {
  LargeSegment large;
  std::array<rte_mbuf*, kPiecesMax> pieces;
  if (!large.read(chunks, kPiecePacketOctets, whole_sums_) || large.pieces() > kPiecesMax ||
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
  if (count == 0) return;
  bool inside = false;
  for (std::uint32_t i = 0; i < count; ++i) {  // the mbufs of whole frames will be written
    const xdp_desc& desc = *xsk_ring_cons__rx_desc(queue_.rx, at + i);
    const bool ends = (desc.options & kContinued) == 0;
    if (ends && !inside) rte_prefetch0(buffer_at(xsk_umem__extract_addr(desc.addr)));
    inside = !ends;
  }
  std::array<ByteView, kPeekMax> chunks;
  std::uint32_t begin = 0;  // of the frame that is being read
  for (std::uint32_t i = 0; i < count && kPendingMax - tail_ >= kPiecesMax; ++i) {
    const xdp_desc& desc = *xsk_ring_cons__rx_desc(queue_.rx, at + i);
    const bool ends = (desc.options & kContinued) == 0;
    if (ends && i == begin) {
      take_buffer(desc);
    } else {
      // Of a chunk only the octets are read: its mbuf, which goes back as it is, would be a cache line to wait for.
      const auto* const octets = static_cast<const std::byte*>(queue_.area) + xsk_umem__add_offset_to_addr(desc.addr);
      for (std::uint32_t line = 0; line < desc.len; line += RTE_CACHE_LINE_SIZE) rte_prefetch0(octets + line);
      chunks[i] = {octets, desc.len};
      free_[freed_ + i - begin] = xsk_umem__extract_addr(desc.addr);
    }
    if (!ends) continue;
    if (i != begin) {
      freed_ += i + 1 - begin;
      cut({chunks.data() + begin, i + 1 - begin});
    }
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
    for (std::size_t i = 0; i < freed_; ++i) rte_pktmbuf_free(buffer_at(free_[i]));
    freed_ = owed_ = 0;
    return;
  }
  for (std::size_t i = 0; i < freed_; ++i) *xsk_ring_prod__fill_addr(queue_.fill, at++) = free_[i];
  for (std::size_t i = 0; got && i < wanted; ++i)
    *xsk_ring_prod__fill_addr(queue_.fill, at++) = address_of(queue_, *pool_, fresh[i]);
  xsk_ring_prod__submit(queue_.fill, static_cast<std::uint32_t>(count));
  if (got) owed_ -= wanted;
  freed_ = 0;
}

std::size_t LargeReceiver::receive(std::span<rte_mbuf*> into) {
  if (head_ == tail_) {
    head_ = tail_ = 0;
    if (owed_ + freed_ >= kRefillFrom) refill();
    if (owed_ < kRefillFrom) read_ring();
  }
  const std::size_t count = std::min(into.size(), tail_ - head_);
  std::copy_n(pending_.begin() + static_cast<std::ptrdiff_t>(head_), count, into.begin());
  head_ += count;
  return count;
}

}  // namespace penstock::io
