// dataplane_client.h - one connection of the daemon to a running dataplane.
//
// Model     coroutines on the caller's event loop. open() exchanges Hellos; request() sends one message and waits
//           for its Ack; events (lost ports, the end of the connection) come by callbacks. What the Hello brought
//           (segment, eventfds, arenas) lives as long as the client.
// Errors    a refusal, a silent peer and a broken connection are Problems; after the latter two every request fails.
// Limits    kHelloTimeout, kRequestTimeout; one loop thread.
#pragma once
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/control/channel.h"
#include "mgmt/telemetry/segment_reader.h"

namespace penstock::publish {

namespace v1 = control::v1;
template <typename T>
using Task = boost::asio::awaitable<T>;

inline constexpr std::chrono::seconds kHelloTimeout{20};
inline constexpr std::chrono::seconds kRequestTimeout{10};

/// What the dataplane told about itself.
struct DataplaneHello {
  v1::Hello message;
  telemetry::SegmentMapping segment;
  std::vector<Fd> question_events;    ///< per worker; readable when it asked something
  std::vector<Fd> answer_events;      ///< per worker; written to wake it
  std::vector<Fd> arenas;             ///< flow arena per worker
  std::vector<Fd> connection_arenas;  ///< per worker
};

class DataplaneClient : public std::enable_shared_from_this<DataplaneClient> {
 public:
  using Pointer = std::shared_ptr<DataplaneClient>;
  /// Takes over a connected channel and exchanges Hellos.
  [[nodiscard]] static Task<Result<Pointer>> open(boost::asio::io_context& loop, control::Channel channel);
  ~DataplaneClient();

  [[nodiscard]] const DataplaneHello& hello() const { return hello_; }
  [[nodiscard]] DataplaneHello& hello() { return hello_; }
  [[nodiscard]] pid_t pid() const { return static_cast<pid_t>(hello_.message.pid()); }
  [[nodiscard]] const control::SegmentView& segment() const { return hello_.segment.view; }
  [[nodiscard]] bool connected() const { return connected_; }

  /// Sends and waits for the Ack.
  [[nodiscard]] Task<Status> request(v1::Envelope envelope, std::vector<int> fds = {},
                                     std::chrono::milliseconds at_most = kRequestTimeout);
  [[nodiscard]] Task<Result<v1::State>> get_state();

  std::function<void(const v1::PortEvent&)> on_port_event;
  std::function<void(const std::string& why)> on_closed;
  /// Ends the connection; on_closed is not called.
  void close();

 private:
  struct Waiting;
  struct Wakeup;
  DataplaneClient(boost::asio::io_context& loop, control::Channel channel);
  Task<Status> exchange_hello();
  Task<Result<v1::Envelope>> call(v1::Envelope envelope, std::vector<int> fds, std::chrono::milliseconds at_most);
  static Task<void> read_loop(std::weak_ptr<DataplaneClient> weak);
  void take(v1::Envelope&& envelope);
  void fail(const std::string& why);

  boost::asio::io_context& loop_;
  control::Channel channel_;
  std::shared_ptr<Wakeup> wakeup_;
  DataplaneHello hello_;
  std::map<std::uint64_t, std::shared_ptr<Waiting>> waiting_;
  std::uint64_t next_sequence_{1};
  bool connected_{};
};

/// Connects as a reader (the CLI): segment and arenas only, blocking.
struct ReaderView {
  v1::Hello message;
  telemetry::SegmentMapping segment;
  std::vector<Fd> arenas;
  std::vector<Fd> connection_arenas;
};
[[nodiscard]] Result<ReaderView> open_reader(const std::string& socket_path, std::chrono::milliseconds at_most);

}  // namespace penstock::publish
