// wakeup.h - "look again": many callers, one waiting coroutine.
//
// Model     notify() before wait() is remembered; several count once.
#pragma once
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace penstock::daemon {

class Wakeup {
 public:
  explicit Wakeup(boost::asio::io_context& loop) : timer_{loop} {
    timer_.expires_at(boost::asio::steady_timer::time_point::max());
  }
  void notify() {
    noted_ = true;
    timer_.cancel();
  }
  [[nodiscard]] boost::asio::awaitable<void> wait() {
    if (!noted_) co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    noted_ = false;
  }

 private:
  boost::asio::steady_timer timer_;
  bool noted_{};
};

}  // namespace penstock::daemon
