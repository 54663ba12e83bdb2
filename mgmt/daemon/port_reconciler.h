// port_reconciler.h - the configured ports, and what of each is real.
//
// Model     per port: interface present -> program attached -> dataplane serves it -> steering enabled -> self-test.
//           reconcile() takes every port as far as it gets and undoes what lost its ground (interface or namespace
//           gone, port removed from the configuration); a port in trouble never holds up the others.
// Errors    kept per port as text for status; logged when they change.
// Limits    PENSTOCK_PORT_MAX ports; index = PortIndex of the dataplane, kept over daemon restarts.
// Not here  when to call: daemon.cpp (link events, a new dataplane, a new configuration, once a second).
#pragma once
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mgmt/config/config.h"
#include "mgmt/kernel/links.h"
#include "mgmt/kernel/netns.h"
#include "mgmt/kernel/steering.h"
#include "mgmt/publish/dataplane_client.h"

namespace penstock::daemon {

using publish::DataplaneClient;
using publish::Task;

struct PortState {
  config::Port config;
  std::uint32_t index{};
  std::optional<kernel::LinkInfo> link;
  kernel::LinkInfo in_use;  ///< the link as it was attached and handed over
  std::uint32_t queues{};
  bool attached{};
  bool generic{};
  bool served{};
  bool enabled{};
  std::string self_test{"pending"};  ///< pending, passed, failed
  std::string error;
  std::chrono::steady_clock::time_point not_before;  ///< attached no sooner, unless the link or configuration changes
};

class PortReconciler {
 public:
  PortReconciler(boost::asio::io_context& loop, kernel::Steering& steering);
  ~PortReconciler();

  /// Something changed that reconcile() should look at.
  std::function<void()> on_change;

  /// The wanted ports. Indices of ports that a predecessor left (`client` may be null) are kept.
  void configure(const std::vector<config::Port>& ports, const DataplaneClient* client);
  /// Problems of required ports whose interface is not there or not up.
  [[nodiscard]] Problems missing();
  /// Attach and hand to the dataplane; with `enable` also switch steering on and test it.
  [[nodiscard]] Task<void> reconcile(DataplaneClient::Pointer client, bool enable);
  /// Takes away what a predecessor left and nobody configured: pins, and ports of an adopted dataplane.
  [[nodiscard]] Task<void> remove_strangers(DataplaneClient::Pointer client);
  /// A new dataplane process: it serves nothing yet, apart from what its Hello lists.
  void dataplane_changed(const DataplaneClient* client);
  void dataplane_lost_port(std::uint32_t index, const std::string& why);
  /// Tests again those that failed.
  void retry_failed();

  [[nodiscard]] const std::vector<PortState>& ports() const { return ports_; }
  /// Names of present ports in the daemon's own namespace.
  [[nodiscard]] std::vector<std::string> local_interfaces() const;
  [[nodiscard]] bool all_required_steer() const;

 private:
  struct Namespace;
  void watch(Namespace& space);
  void refresh_namespaces();
  [[nodiscard]] Namespace* space_of(const config::Port& port);
  void look(PortState& port);
  [[nodiscard]] Task<void> take_back(PortState& port, DataplaneClient::Pointer client);
  [[nodiscard]] Task<void> undo(PortState& port, DataplaneClient::Pointer client);
  [[nodiscard]] Task<void> advance(PortState& port, DataplaneClient::Pointer client, bool enable);
  [[nodiscard]] Task<Status> hand_over(PortState& port, DataplaneClient::Pointer client);
  /// True: a program that was there already.
  [[nodiscard]] Result<bool> attach(PortState& port);
  [[nodiscard]] Status enable_and_test(PortState& port, const DataplaneClient& client);
  void fail(PortState& port, const Problem& problem);
  [[nodiscard]] std::uint32_t index_for(const PortState& port);

  boost::asio::io_context& loop_;
  kernel::Steering& steering_;
  std::vector<PortState> ports_;
  std::vector<PortState> removed_;                            ///< configured before, to be undone
  std::map<std::string, std::unique_ptr<Namespace>> spaces_;  ///< by netns of the configuration, "" = own
};

}  // namespace penstock::daemon
