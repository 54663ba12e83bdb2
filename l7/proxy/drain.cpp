// What a new configuration leaves behind: clients' connections whose listener drains or is gone, and kept connections
// to endpoints that get no more requests.
#include <algorithm>

#include "l7/proxy/proxy.h"

namespace penstock::proxy {

using control::ResponseDetail;

/// The listener at the address that the client connected to, whatever its name.
const ListenerView* HttpProxy::listener_at(Leg leg) const {
  if (config_ == nullptr) return nullptr;
  const Ends ends = legs_.ends(leg);
  const control::ListenerRecord* const record =
      config_->snapshot.find_listener(ends.service, Be16::from_host(ends.service_port), IpProto::tcp);
  return record == nullptr ? nullptr : find_listener(record->id);
}

/// Whose routes the next request takes. Another listener that took over the address serves it, once: its connections
/// may begin otherwise, and its parser may permit what this one does not. nullptr: nobody serves HTTP there.
const ListenerView* HttpProxy::listener_for_request(Connection& c) {
  const ListenerView* listener = listener_of(c);
  if (listener != nullptr) return listener;
  listener = listener_at(c.leg);
  c.leaving = true;
  if (listener == nullptr || listener->http == nullptr) return nullptr;
  c.adopted = true;
  c.listener_id = listener->id;
  return listener;
}

/// A request that was read when nobody was left to serve it.
void HttpProxy::refuse_homeless(std::uint32_t index) {
  Connection& c = connections_[index];
  counters_.http.by_detail[static_cast<std::size_t>(ResponseDetail::shutdown)].add();
  write_refusal(c, 503);
  legs_.finish(c.leg);
  forget_connection(index);
}

/// How long it may idle between requests; 0: for ever. One that has a request in front waits for room, not for that.
std::uint32_t HttpProxy::keep_ms_of(const Connection& c) const {
  const bool soon = c.leaving && !c.raw && legs_.front(c.leg).empty();
  return soon && (c.keep_ms == 0 || c.keep_ms > kDrainIdleMs) ? kDrainIdleMs : c.keep_ms;
}

/// Idle connections are closed by their deadline, others after their answer. Tunnels go on until the drain ends.
void HttpProxy::review(std::uint32_t index) {
  Connection& c = connections_[index];
  if (c.leg == kNoLeg || c.raw) return;
  const ListenerView* const listener = listener_for_request(c);
  c.leaving = listener == nullptr || listener->draining || c.adopted;
  arm(index);
}

/// May the endpoint of this connection get another request?
bool HttpProxy::is_offered(const Upstream& up) const {
  const EndpointState& endpoint = endpoints_[up.endpoint_slot];
  return endpoint.seen == generation_ && endpoint.offered && endpoint.id == up.endpoint_id;
}

/// Kept connections of this slot that nobody will use any more, at most so many; how many were closed.
std::uint32_t HttpProxy::close_unoffered(std::uint32_t slot, std::uint32_t most) {
  std::uint32_t closed = 0;
  for (; closed < most; ++closed) {
    const std::uint32_t oldest = endpoints_[slot].idle_first;  // those of a former owner of the slot are older
    if (oldest == kNone || is_offered(upstreams_[oldest])) break;
    legs_.finish(upstreams_[oldest].leg);
    free_upstream(oldest);
  }
  return closed;
}

bool HttpProxy::housekeeping() {
  std::uint32_t left = kReviewsPerRound;
  for (; review_at_ != kNone && left > 0; --left) {
    if (connections_.knows(review_at_))
      review(review_at_++);
    else
      review_at_ = kNone;
  }
  for (; slots_at_ != kNone && left > 0; --left) {
    if (slots_at_ >= slots_end_) {
      slots_at_ = kNone;
    } else if (const std::uint32_t closed = close_unoffered(slots_at_, left); closed == left) {
      break;  // there may be more of it
    } else {
      left -= closed;
      ++slots_at_;
    }
  }
  pump_ready();
  return review_at_ != kNone || slots_at_ != kNone;
}

}  // namespace penstock::proxy
