// links.h - network interfaces and addresses of a namespace, once and as they change.
//
// Model     rtnetlink. A LinkWatch starts with a dump (everything `appeared`) and then reports changes; when the
//           kernel's notifications overflow it dumps again and reports the difference, so no change is lost.
// Errors    Problem with the interface name or the netlink error.
// Threads   one thread at a time; fd() is for the caller's event loop.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/core/addresses.h"
#include "dataplane/core/result.h"

namespace penstock::kernel {

struct LinkInfo {
  std::uint32_t ifindex{0};
  std::string name;
  std::string kind;  ///< "veth", "vlan", ...; empty for physical devices and lo
  MacAddress mac;
  std::uint32_t mtu{0};
  bool up{false};       ///< IFF_UP
  bool running{false};  ///< carrier
  bool loopback{false};
  [[nodiscard]] bool is_veth() const { return kind == "veth"; }
  friend bool operator==(const LinkInfo&, const LinkInfo&) = default;
};

/// The interface, or a Problem that lists which ones there are. `netns_fd` -1 is the caller's namespace.
[[nodiscard]] Result<LinkInfo> find_link(const std::string& name, int netns_fd = -1);
[[nodiscard]] Result<std::vector<LinkInfo>> list_links(int netns_fd = -1);
/// Receive queues that the driver uses now (ethtool channels); at least 1.
[[nodiscard]] std::uint32_t rx_queue_count(const std::string& name, int netns_fd = -1);

struct LinkAddress {
  std::uint32_t ifindex{0};
  IpPrefix prefix;  ///< address with its prefix length; host bits are kept
};
/// Addresses of all interfaces, tentative and failed ones left out.
[[nodiscard]] Result<std::vector<LinkAddress>> list_addresses(int netns_fd = -1);

enum class LinkEventKind : std::uint8_t { appeared, vanished, renamed, changed };
struct LinkEvent {
  LinkEventKind kind;
  LinkInfo link;         ///< as it is now; as it last was for `vanished`
  std::string old_name;  ///< of a `renamed` link
};

class LinkWatch {
 public:
  [[nodiscard]] static Result<LinkWatch> open(int netns_fd = -1);
  LinkWatch(LinkWatch&&) noexcept;
  LinkWatch& operator=(LinkWatch&&) noexcept;
  ~LinkWatch();

  [[nodiscard]] int fd() const;  ///< readable when drain() has something
  /// Never blocks. The first call reports all present links as `appeared`.
  [[nodiscard]] std::vector<LinkEvent> drain();

 private:
  struct Impl;
  explicit LinkWatch(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::kernel
