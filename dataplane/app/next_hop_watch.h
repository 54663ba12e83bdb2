// next_hop_watch.h - where packets for endpoints go on the link layer, learned from the kernel.
//
// Model     for every wanted address: route lookup, then the neighbour entry of the gateway (or of the address),
//           which the kernel is asked to keep resolved. A next hop is resolved when its route leaves by one of our
//           ports (or a VLAN on one) and the kernel knows the link address. Ports may be in several namespaces,
//           each asked in turn; none is held open longer than a port is in it.
// Units     an index stays with its address; it is taken away only when the table is full and no snapshot has
//           wanted the address for longest.
// Errors    what is not known is unresolved, never guessed.
// Limits    control::kNextHopMax addresses. Bridges, bonds and multipath below a port are not looked through.
// Threads   control thread. Nothing here reads a clock.
#pragma once
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "dataplane/app/netlink.h"
#include "dataplane/control/next_hop.h"
#include "dataplane/core/clock.h"

namespace penstock::app {

class NextHopWatch {
 public:
  NextHopWatch();
  ~NextHopWatch();
  NextHopWatch(const NextHopWatch&) = delete;
  NextHopWatch& operator=(const NextHopWatch&) = delete;

  /// Looks in the port's namespace from now on. `netns` -1: our own.
  [[nodiscard]] Status add_port(PortIndex port, unsigned interface, int netns);
  void remove_port(PortIndex port);

  /// Indexes of these addresses, in order. What was wanted before and is not named stays known while there is room.
  [[nodiscard]] std::vector<control::NextHopIndex> want(std::span<const IpAddress> addresses);

  /// Asks the kernel about what changed. True when table() changed.
  bool resolve();
  /// Asks again about some entries, in turn, so that a lost event cannot last.
  bool refresh(std::size_t entries);
  /// True when a wanted address has a route by a port of ours but no link address yet.
  [[nodiscard]] bool pending() const;

  /// Readable: call read_events().
  [[nodiscard]] std::vector<int> event_fds() const;
  /// Ports whose interface is gone. resolve() is due afterwards when dirty().
  [[nodiscard]] std::vector<PortIndex> read_events();
  [[nodiscard]] bool dirty() const { return dirty_; }

  [[nodiscard]] const std::vector<control::NextHop>& table() const { return hops_; }
  struct Entry {
    IpAddress address;
    bool wanted{};
    bool stale{true};         ///< must be asked again
    bool routed{};            ///< a route leaves by a port of ours
    std::size_t space{};      ///< namespace of that route
    unsigned interface {};    ///< of that route
    IpAddress via;            ///< neighbour of that route
    bool kept{};              ///< the kernel was asked to keep the neighbour resolved
    std::uint64_t wanted_in;  ///< the last want() that named it
  };
  [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }

 private:
  struct Space;
  struct Port {
    PortIndex index{};
    unsigned interface {};
    std::size_t space{};
  };
  [[nodiscard]] Result<std::size_t> space_of(int netns);
  [[nodiscard]] control::NextHopIndex index_of(const IpAddress& address);
  [[nodiscard]] const Port* port_of(std::size_t space, const LinkAnswer& link) const;
  const LinkAnswer* link_of(std::size_t space, unsigned interface);
  [[nodiscard]] control::NextHop look_up(Entry& entry);
  bool ask_again(std::size_t index);
  void release(Entry& entry);
  /// A socket keeps its namespace alive, deleted or not: none stays behind the last port.
  void leave_unused_spaces();
  void mark_all();

  std::vector<std::unique_ptr<Space>> spaces_;  // Port::space and Entry::space; none = vacant
  std::vector<Port> ports_;
  std::vector<Entry> entries_;          // by NextHopIndex
  std::vector<control::NextHop> hops_;  // by NextHopIndex
  std::map<IpAddress, control::NextHopIndex> by_address_;
  std::size_t refresh_at_{};
  std::uint64_t wants_{};
  bool dirty_{};
};

}  // namespace penstock::app
