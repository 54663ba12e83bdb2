#include "tests/support/transfer/connection.h"

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

namespace penstock::transfer {
namespace {

// Per visit, so that one fast connection does not starve a thousand others.
constexpr std::uint64_t kVisitOctets = 1 << 18;
// A slow reader reads this much at least, instead of single octets.
constexpr std::uint64_t kSipOctets = 512;

}  // namespace

void Connection::finish(Outcome outcome, int failure) {
  if (outcome_ != Outcome::running) return;
  outcome_ = in.corrupted ? Outcome::corrupted : outcome;
  failure_ = failure;
  fd_.reset();
}

void Connection::finish_by_errno(int number) {
  if (number == ECONNREFUSED || (number == ECONNRESET && !connected_)) {
    finish(Outcome::refused, number);
  } else if (number == ECONNRESET || number == EPIPE) {
    finish(Outcome::reset, number);
  } else {
    finish(Outcome::failed, number);
  }
}

void Connection::abort_with_reset() {
  const linger now{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  finish(Outcome::reset_sent);
}

void Connection::progress(Instant now) {
  longest_quiet_ = longest_quiet(now);
  moved_ = now;
}

Duration Connection::longest_quiet(Instant now) const {
  if (outcome_ != Outcome::running) return longest_quiet_;
  return std::max(longest_quiet_, now - std::max(moved_, std::min(now, pause_until_)));
}

std::uint64_t Connection::allowance(Instant now) const {
  if (paused(now)) return 0;
  std::uint64_t allowed = kVisitOctets;
  const std::uint64_t got = in.payload_received();
  if (manners.reads_per_second != 0) {
    const double seconds = std::chrono::duration<double>(now - began_).count();
    const auto due_octets = static_cast<std::uint64_t>(seconds * static_cast<double>(manners.reads_per_second));
    allowed = std::min(allowed, due_octets > got ? due_octets - got : 0);
    if (allowed < kSipOctets && in.payload - got > allowed) return 0;
  }
  if (manners.closes_after != 0) {
    if (got >= manners.closes_after) return 0;  // what comes now stays unread
    allowed = std::min(allowed, manners.closes_after - got);
  }
  if (manners.stops_reading_after > got) allowed = std::min(allowed, manners.stops_reading_after - got);
  return std::max<std::uint64_t>(allowed, 1);
}

bool Connection::may_send() const {
  if (!connected_ || write_ended_ || awaits_request || (!greeted && !in.prefix_done())) return false;
  const bool mine_is_due = turn == Turn::at_once || read_ended_;
  if (out.position < out.prefix.size()) return true;
  if (out.position < out.prefix.size() + out.payload) return mine_is_due;
  return mine_is_due && (!reports || read_ended_);  // the rest, and the end of stream
}

std::uint32_t Connection::interest(Instant now) const {
  if (!connected_) return EPOLLOUT;
  std::uint32_t events = 0;
  if (!read_ended_ && (allowance(now) > 0 || closes_on_unread())) events |= EPOLLIN;
  if (may_send()) events |= EPOLLOUT;
  return events;
}

Instant Connection::due(Instant now) const {
  if (!connected_ || read_ended_ || allowance(now) > 0) return Instant::max();
  return paused(now) ? pause_until_ : now + std::chrono::milliseconds{10};
}

bool Connection::complete_connect(std::uint32_t events, Instant now) {
  if ((events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) == 0) return false;
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) {
    finish_by_errno(error);
    return false;
  }
  connected_ = true;
  connected_after_ = now - began_;
  progress(now);
  return true;
}

void Connection::accept_request() {
  const auto request = in.prefix.as<Request>();
  if (request.magic != kRequestMagic) {
    in.corrupted = true;
    finish(Outcome::corrupted);
    return;
  }
  awaits_request = false;
  in.payload = request.up;
  in.key = payload_key(request.connection, false);
  out.payload = request.down;
  out.key = payload_key(request.connection, true);
  manners = request.server;
  turn = request.turn;
  reports = request.report != 0;
  if (reports) out.suffix = Small{Report{}};
}

void Connection::digest(std::span<const std::byte> octets, Instant now) {
  while (!octets.empty() && outcome_ == Outcome::running) {
    octets = octets.subspan(in.take(octets));
    if (awaits_request && in.prefix_done()) accept_request();
    if (in.beyond > 0) return finish(Outcome::beyond);
  }
  if (manners.stops_reading_after != 0 && !pause_taken_ && in.payload_received() >= manners.stops_reading_after) {
    pause_taken_ = true;
    pause_until_ = now + std::chrono::milliseconds{manners.stops_for_ms};
  }
}

void Connection::end_of_stream() {
  read_ended_ = true;
  if (awaits_request || !in.done()) return finish(Outcome::early_end);
  if (reports) out.suffix = Small{Report{.received = in.payload_received(), .good = in.good}};
}

void Connection::read(Instant now, std::span<std::byte> scratch) {
  std::uint64_t left = allowance(now);
  while (left > 0 && !read_ended_ && outcome_ == Outcome::running && !paused(now)) {
    const ssize_t count = ::recv(fd_.get(), scratch.data(), std::min<std::uint64_t>(left, scratch.size()), 0);
    if (count < 0) {
      if (errno != EAGAIN) finish_by_errno(errno);
      return;
    }
    progress(now);
    if (count == 0) return end_of_stream();
    digest(scratch.first(static_cast<std::size_t>(count)), now);
    left -= static_cast<std::uint64_t>(count);
  }
}

void Connection::write(Instant now, std::span<std::byte> scratch) {
  std::uint64_t left = kVisitOctets;
  while (may_send() && left > 0) {
    if (out.done()) {
      ::shutdown(fd_.get(), SHUT_WR);
      write_ended_ = true;
      return progress(now);
    }
    std::size_t count = out.render(scratch.first(std::min<std::uint64_t>(scratch.size(), left)));
    if (manners.resets_after != 0) {
      const std::uint64_t moved = out.payload_sent() + in.payload_received();
      count = std::min<std::uint64_t>(
          count, std::max<std::uint64_t>(1, manners.resets_after - std::min(manners.resets_after, moved)));
    }
    const ssize_t sent = ::send(fd_.get(), scratch.data(), count, MSG_NOSIGNAL);
    if (sent < 0) {
      // What a reset left to read is of no use; a FIN answered by data is a reset as well.
      if (errno != EAGAIN) finish_by_errno(errno);
      return;
    }
    progress(now);
    out.position += static_cast<std::uint64_t>(sent);
    left -= static_cast<std::uint64_t>(sent);
    close_when_told(false);
    if (static_cast<std::size_t>(sent) < count || outcome_ != Outcome::running) return;
  }
}

void Connection::close_when_told(bool readable) {
  if (outcome_ != Outcome::running) return;
  if (manners.resets_after != 0 && out.payload_sent() + in.payload_received() >= manners.resets_after)
    return abort_with_reset();
  int unread = 0;  // without any, close() would be an orderly end
  if (!closes_on_unread() || ::ioctl(fd_.get(), FIONREAD, &unread) != 0) return;
  if (unread > 0) return finish(Outcome::reset_sent);
  if (readable) finish(Outcome::early_end);  // readable with nothing to read is the end of the stream
}

void Connection::work(std::uint32_t events, Instant now, std::span<std::byte> scratch) {
  if (outcome_ != Outcome::running) return;
  if (!connected_ && !complete_connect(events, now)) return;
  const bool waited = closes_on_unread();
  read(now, scratch);
  close_when_told(waited && (events & EPOLLIN) != 0);
  if (outcome_ == Outcome::running) write(now, scratch);
  if (outcome_ != Outcome::running) return;
  if ((events & EPOLLERR) != 0) {
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    if (error != 0) return finish_by_errno(error);
  }
  if (read_ended_ && write_ended_) finish(Outcome::ok);
}

}  // namespace penstock::transfer
