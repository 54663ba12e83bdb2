// background.h - work that takes long, beside the event loop.
//
// Model     one thread; run() starts `work` on it and goes on, on the caller's loop, when it is done. Meanwhile the
//           loop serves whatever else there is, so nothing but the work may touch what it touches.
// Errors    what `work` throws is thrown to the caller.
#pragma once
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <utility>

#include "mgmt/publish/dataplane_client.h"

namespace penstock::publish {

class Background {
 public:
  [[nodiscard]] Task<void> run(std::function<void()> work) {
    const auto on_thread = [work = std::move(work)]() -> Task<void> {
      work();
      co_return;
    };
    co_await boost::asio::co_spawn(thread_, on_thread, boost::asio::use_awaitable);
  }

 private:
  boost::asio::thread_pool thread_{1};
};

}  // namespace penstock::publish
