#include "tests/sim/tcp/app.h"

#include <algorithm>

namespace penstock::tcpsim {

using tcp::Events;

void App::deliver(ByteView bytes) {
  if (!failure_.empty()) return;
  if (read_ended_) failure_ = "delivered after close()";
  if (peer_closed_) failure_ = "delivered after the end of the stream";
  if (received_ + bytes.size() > peer_.total) failure_ = "more delivered than the peer writes";
  if (!kPayload.matches(reads_stream_, received_, bytes))
    failure_ = "delivered octets are not the peer's at this position";
  received_ += bytes.size();
}

void App::events(const Events& events) {
  if (events.has(Events::kConnected)) {
    if (connected_) failure_ = "connected twice";
    connected_ = true;
  }
  if (events.has(Events::kPeerClosed)) {
    if (peer_closed_) failure_ = "the peer closed twice";
    if (!read_ended_ && received_ != peer_.total && peer_.ending != Ending::close_early &&
        peer_.ending != Ending::abort_midway)
      failure_ = "end of stream before the last octet";
    peer_closed_ = true;
  }
  timed_out_ |= events.has(Events::kTimedOut);
  reset_ |= events.has(Events::kReset);
}

std::uint64_t App::may_write() const {
  if (plan_.rpc_octets == 0) return plan_.total;
  const std::uint64_t answered = received_ / peer_.rpc_octets;
  const bool asks = writes_stream_ % 2 == 0;  // the client's streams are even
  return std::min(plan_.total, plan_.rpc_octets * (asks ? answered + 1 : answered));
}

void App::write(Socket& socket, std::uint64_t now_us) {
  while (written_ < may_write() && now_us >= next_write_us_) {
    const std::size_t chunk =
        static_cast<std::size_t>(std::min<std::uint64_t>(plan_.write_chunk, may_write() - written_));
    const std::size_t taken = socket.write(kPayload.view(writes_stream_, written_, chunk));
    if (taken == 0) {
      // No room: an acknowledgement will tell. No memory: it may be another connection's, so ask again.
      if (socket.writable()) wake(now_us + 10000);
      return;
    }
    written_ += taken;
    if (plan_.write_every_us != 0) next_write_us_ = now_us + plan_.write_every_us;
  }
  if (written_ < may_write() && plan_.write_every_us != 0) wake(next_write_us_);
}

void App::read(Socket& socket, std::uint64_t now_us) {
  if (plan_.stall_us != 0 && !stalled_ && received_ > plan_.stall_after) {
    stalled_ = true;
    stalled_until_us_ = now_us + plan_.stall_us;
  }
  if (now_us < stalled_until_us_) return wake(stalled_until_us_);
  if (consumed_ == received_) return;
  if (now_us < next_read_us_) return wake(next_read_us_);
  std::uint64_t octets = received_ - consumed_;
  if (plan_.read_chunk != 0) octets = std::min<std::uint64_t>(octets, plan_.read_chunk);
  socket.consume(static_cast<std::uint32_t>(octets));
  consumed_ += octets;
  if (plan_.read_every_us != 0) next_read_us_ = now_us + plan_.read_every_us;
  if (consumed_ < received_) wake(next_read_us_);
}

void App::step(Socket& socket, std::uint64_t now_us) {
  wakes_at_us_ = 0;
  if (!socket.is_open()) return;
  if (!ended_ || plan_.ending != Ending::close_when_done) read(socket, now_us);
  if (ended_) return;
  write(socket, now_us);
  end(socket);
}

void App::end(Socket& socket) {
  const std::uint64_t moved = std::max(written_, received_);
  switch (plan_.ending) {
    case Ending::shutdown_when_written:
      ended_ = written_ == plan_.total;
      if (ended_) socket.shutdown();
      break;
    case Ending::after_peer:
      ended_ = written_ == plan_.total && peer_closed_;
      if (ended_) socket.shutdown();
      break;
    case Ending::close_when_done:
      ended_ = connected_ && written_ == plan_.total && received_ == peer_.total && consumed_ == received_;
      read_ended_ = ended_;
      if (ended_) events(socket.close());
      break;
    case Ending::close_early:
      ended_ = moved >= plan_.ending_at || written_ == plan_.total;
      read_ended_ = ended_;
      if (ended_) events(socket.close());
      break;
    case Ending::abort_midway:
      ended_ = moved >= plan_.ending_at || written_ == plan_.total;
      read_ended_ = ended_;
      if (ended_) events(socket.abort());
      break;
  }
}

}  // namespace penstock::tcpsim
