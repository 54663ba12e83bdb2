// Tier X: what the daemon has to do with flows that the XDP program forwards by itself.
//
// Model     the kernel tells which ports frames can be redirected to (mgmt/kernel/steering.h); the dataplane is told by
//           the message Forwards, with the maps, after it has ports, snapshot and heartbeats, and again when that set
//           changes. It alone decides which flows sink.
#include <spdlog/spdlog.h>

#include "mgmt/daemon/daemon.h"

namespace penstock::daemon {
namespace {

static_assert(PENSTOCK_PORT_MAX <= 64, "ports of Forwards are bits of one number");

}  // namespace

/// Armed anew by whoever reads the events, so that one that waits to be read wakes the loop once.
void Daemon::watch_redirect_targets() {
  if (!redirect_events_)
    redirect_events_ =
        std::make_unique<boost::asio::posix::stream_descriptor>(loop_, ::dup(kernel_->steering().redirect_events_fd()));
  if (std::exchange(redirects_watched_, true)) return;
  redirect_events_->async_wait(boost::asio::posix::descriptor_base::wait_read, [this](boost::system::error_code error) {
    if (error) return;  // stopping
    redirects_watched_ = false;
    // At once, whatever the loop waits for: frames to a port that takes none any more are lost.
    (void)kernel_->steering().refresh_redirect_targets();
    wakeup_.notify();
  });
}

/// Ports that the dataplane has and frames can be redirected to, by index.
std::uint64_t Daemon::redirect_mask() const {
  std::uint64_t targets = 0;
  for (const kernel::PortStatus& port : kernel_->steering().ports())
    if (port.redirect_target) targets |= std::uint64_t{1} << port.port_index;
  std::uint64_t served = 0;
  for (const PortState& port : ports_->ports())
    if (port.served) served |= std::uint64_t{1} << port.index;
  return targets & served;
}

/// `client` may be null: then only what the kernel says is brought up to date.
Task<void> Daemon::tell_forwards(DataplaneClient::Pointer client) {
  (void)kernel_->steering().refresh_redirect_targets();
  watch_redirect_targets();
  if (!client) co_return;
  const std::uint64_t mask = redirect_mask();
  if (forwards_told_ == mask) co_return;
  control::v1::Envelope envelope;
  envelope.mutable_forwards()->set_ports(mask);
  const auto maps = kernel_->steering().forward_fds();
  const std::vector<int> fds{maps.forwards, maps.slots};
  const Status told = co_await client->request(std::move(envelope), fds);
  if (told && this->client() == client) forwards_told_ = mask;
  const std::string error = told ? "" : told.error().text();
  if (!error.empty() && error != forwards_error_) spdlog::error("flows are not forwarded in XDP: {}", error);
  forwards_error_ = error;
}

}  // namespace penstock::daemon
