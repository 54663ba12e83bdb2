// veth_lab.h - test support: a node between peers, in network namespaces of its own.
//
// Model     namespace NODE holds the near ends of veth pairs, one namespace per peer the far ends, with 10.77.0.N/24.
//           Every near end gets an XDP program that redirects all frames to the socket of their queue (xsks_map).
// Limits    names start with psk-D and the process id; everything goes with the object.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/core/fd.h"

namespace penstock::io {

class VethLab {
 public:
  VethLab();
  ~VethLab();
  VethLab(const VethLab&) = delete;
  VethLab& operator=(const VethLab&) = delete;

  struct Peer {
    std::string netns;
    std::string near;  ///< interface in the node's namespace
    unsigned near_index{};
    std::string address;
    Fd program_link;
    Fd xsks_map;
  };
  /// Adds peer number peers().size()+1. Without steering no XDP program is attached.
  Peer& add_peer(unsigned queues = 1, bool steered = true);
  [[nodiscard]] Peer& peer(std::size_t i) { return *peers_[i]; }
  [[nodiscard]] const std::string& node() const { return node_; }
  /// A descriptor of the node's namespace.
  [[nodiscard]] Fd node_netns() const { return netns_fd(node_); }
  [[nodiscard]] static Fd netns_fd(const std::string& name);
  /// A UDP socket of the peer bound to its address; sends without checksum (veth leaves them partial).
  [[nodiscard]] Fd udp_socket(const Peer& peer, std::uint16_t port) const;
  void delete_near(const Peer& peer);

 private:
  std::string node_;
  std::vector<std::unique_ptr<Peer>> peers_;
};

/// Runs a shell command; throws nothing, returns its status.
int run_command(const std::string& command);

}  // namespace penstock::io
