// host.h - what the relay needs of the worker it runs on.
//
// Model     frames come and go through here; paths and flow records are the worker's. The simulator's host is the
//           same worker over simulated ports.
// Errors    allocate() and share() may give nothing; path() false: the next hop is not resolved now.
#pragma once
#include <span>

#include "dataplane/control/next_hop.h"
#include "dataplane/core/frame.h"
#include "dataplane/relay/pair.h"

namespace penstock::relay {

class Host {
 public:
  /// Empty frames from the front of `into`; returns how many.
  [[nodiscard]] virtual std::size_t allocate(std::span<Frame> into) = 0;
  /// Another owner of a device buffer; not live when that is not possible.
  [[nodiscard]] virtual Frame share(const RawFrame& buffer) = 0;
  [[nodiscard]] virtual bool is_sole_owner(const RawFrame& buffer) const = 0;
  virtual void send(Frame& frame, PortIndex port) = 0;
  /// The device of `port` cuts TCP segments that are larger than its MTU allows.
  [[nodiscard]] virtual bool cuts(PortIndex port) const = 0;
  /// Returns a buffer to the device; it was consumed, not dropped.
  virtual void give_back(Frame& frame) = 0;
  /// Where packets of this leg of `flow` go on the link layer.
  [[nodiscard]] virtual bool path(flow::FlowIndex flow, Side side, control::NextHop& into) = 0;
  /// False when the listener of this flow is configured no more, its drain included.
  [[nodiscard]] virtual bool still_listens(flow::FlowIndex flow) = 0;
  /// Both ends have closed; the flow record stays for what TIME-WAIT must still answer.
  virtual void lingers(flow::FlowIndex flow) = 0;
  /// The pair is over and its flow record is not needed any more. The relay has forgotten the flow already.
  virtual void ended(flow::FlowIndex flow) = 0;

 protected:
  ~Host() = default;
};

}  // namespace penstock::relay
