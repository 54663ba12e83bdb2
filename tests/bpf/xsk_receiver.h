// xsk_receiver.h - an AF_XDP socket that counts and keeps what it receives.
//
// Model     copy mode, one queue, no program of its own: the steering program redirects into it by xsks_map.
// Errors    create() returns a Problem.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/core/result.h"
#include "tests/support/packet_builder.h"

namespace penstock::test {

class XskReceiver {
 public:
  /// Binds to queue 0 of an interface of the caller's namespace and puts itself into `xsks_map`.
  [[nodiscard]] static Result<XskReceiver> create(const std::string& interface, int xsks_map);
  XskReceiver(XskReceiver&&) noexcept;
  XskReceiver& operator=(XskReceiver&&) noexcept;
  ~XskReceiver();
  /// Frames that have arrived since the last call.
  [[nodiscard]] std::vector<Bytes> take();

 private:
  struct Impl;
  explicit XskReceiver(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace penstock::test
