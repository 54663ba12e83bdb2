// fake_dataplane_test_support.h - the other end of the control channel, in the test's own event loop.
//
// Model     speaks the real protocol over Channel::pair(): Hello with real memfds, Acks, State. It maps every
//           snapshot that it is given, checks it as the dataplane does, and remembers what happened in order.
#pragma once
#include <sys/eventfd.h>
#include <sys/mman.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <string>
#include <vector>

#include "dataplane/control/channel.h"
#include "dataplane/control/segment.h"
#include "dataplane/control/snapshot_view.h"
#include "mgmt/telemetry/segment_reader.h"

namespace penstock::publish {

class FakeDataplane {
 public:
  explicit FakeDataplane(boost::asio::io_context& loop)
      : loop_{loop}, segment_fd_{::memfd_create("segment", MFD_CLOEXEC)} {
    const std::size_t octets = control::segment_octets(1);
    require(::ftruncate(segment_fd_.get(), static_cast<off_t>(octets)) == 0, "ftruncate");
    auto mapping = telemetry::Mapping::open(segment_fd_.get(), true);
    require(mapping.ok(), "segment mapping");
    mapping_ = std::move(*mapping);
    control::format_segment(mapping_.bytes(), 1, boot_epoch);
    auto view = control::SegmentView::open(mapping_.bytes());
    require(view.ok(), "segment view");
    segment = *view;
  }

  /// A new connection; the returned end is the daemon's.
  control::Channel connect() {
    auto pair = control::Channel::pair();
    require(pair.ok(), "channel pair");
    channel_ = std::move(pair->first);
    channel_.set_blocking(false);
    wakeup_ = std::make_unique<boost::asio::posix::stream_descriptor>(loop_, ::dup(channel_.fd()));
    boost::asio::co_spawn(loop_, serve(), boost::asio::detached);
    return std::move(pair->second);
  }
  void hang_up() {
    wakeup_.reset();
    channel_.close();
  }

  std::uint64_t boot_epoch{77};
  std::uint64_t epoch{};
  std::uint64_t content_hash{};
  std::uint32_t listeners{};
  std::size_t received{};
  bool silent{};                 ///< answers nothing after the Hello
  bool hang_up_on_request{};     ///< closes instead of answering
  std::string refuse_snapshots;  ///< with this error
  std::string refuse_ports;      ///< with this error
  std::size_t ports_offered{};
  std::vector<std::string>* log{};  ///< what happened, in order
  std::function<void()> before_ack;
  control::SegmentView segment;

 private:
  boost::asio::awaitable<void> serve() {
    for (;;) {
      const auto [error] = co_await wakeup_->async_wait(boost::asio::posix::descriptor_base::wait_read,
                                                        boost::asio::as_tuple(boost::asio::use_awaitable));
      if (error) co_return;
      auto message = channel_.receive();
      if (!message.ok() || message->arrival == control::Arrival::closed) co_return;
      if (message->arrival == control::Arrival::message) take(*message);
      if (!wakeup_) co_return;
    }
  }
  void take(const control::Received& message) {
    ++received;
    const auto& envelope = message.envelope;
    if (envelope.has_hello()) return greet();
    if (hang_up_on_request) return hang_up();
    if (silent) return;
    control::v1::Envelope answer;
    answer.set_sequence(envelope.sequence());
    control::v1::Ack& ack = *answer.mutable_ack();
    ack.set_ok(true);
    if (envelope.has_publish_snapshot()) take_snapshot(message, ack);
    if (envelope.has_add_port()) {
      ++ports_offered;
      ack.set_ok(refuse_ports.empty());
      ack.set_error(refuse_ports);
    }
    if (before_ack) before_ack();
    (void)channel_.send(answer);
  }
  void take_snapshot(const control::Received& message, control::v1::Ack& ack) {
    const auto mapping = telemetry::Mapping::open(message.fds.at(0).get(), false);
    const auto view = control::SnapshotView::open(mapping->bytes());
    if (!view.ok() || !refuse_snapshots.empty()) {
      ack.set_ok(false);
      ack.set_error(view.ok() ? refuse_snapshots : view.error().text());
      return;
    }
    epoch = view->epoch();
    content_hash = view->content_hash();
    listeners = static_cast<std::uint32_t>(view->listeners().size());
    segment.block(0).counters.adopted_epoch.set(epoch);
    if (log != nullptr) log->push_back("snapshot with " + std::to_string(listeners) + " listeners");
  }
  void greet() {
    control::v1::Envelope envelope;
    control::v1::Hello& hello = *envelope.mutable_hello();
    hello.set_protocol_major(control::kProtocolMajor);
    hello.set_protocol_minor(control::kProtocolMinor);
    hello.set_worker_count(1);
    hello.set_connection_arenas(1);
    hello.set_boot_epoch(boot_epoch);
    hello.set_epoch(epoch);
    hello.set_content_hash(content_hash);
    const Fd question{::eventfd(0, EFD_CLOEXEC)};
    const Fd answer{::eventfd(0, EFD_CLOEXEC)};
    const Fd arena{::memfd_create("arena", MFD_CLOEXEC)};
    const Fd connections{::memfd_create("connections", MFD_CLOEXEC)};
    const std::array<int, 5> fds{segment_fd_.get(), question.get(), answer.get(), arena.get(), connections.get()};
    (void)channel_.send(envelope, fds);
  }

  boost::asio::io_context& loop_;
  Fd segment_fd_;
  telemetry::Mapping mapping_;
  control::Channel channel_;
  std::unique_ptr<boost::asio::posix::stream_descriptor> wakeup_;
};

/// Runs a coroutine to its end on the loop and returns its result.
template <typename T>
T run_on(boost::asio::io_context& loop, boost::asio::awaitable<T> task) {
  std::optional<T> result;
  const auto keep = [&]() -> boost::asio::awaitable<void> { result.emplace(co_await std::move(task)); };
  boost::asio::co_spawn(loop, keep, [](const std::exception_ptr& failure) {
    if (failure) std::rethrow_exception(failure);
  });
  loop.restart();
  while (!result) require(loop.run_one() > 0, "the loop ran dry");
  return std::move(*result);
}

}  // namespace penstock::publish
