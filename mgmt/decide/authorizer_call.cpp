#include "mgmt/decide/authorizer_call.h"

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "mgmt/health/http_verdict.h"

namespace penstock::decide {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

tcp::endpoint endpoint_of(const route::ExternalAuthorizer& external) {
  return {asio::ip::make_address(external.address.text()), external.port};
}

class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(asio::io_context& loop, std::string request, AuthorizerDone done)
      : socket_{loop}, timer_{loop}, request_{std::move(request)}, done_{std::move(done)} {}

  void start(const tcp::endpoint& to, std::chrono::milliseconds timeout) {
    timer_.expires_after(timeout);
    timer_.async_wait([self = shared_from_this()](const error_code& error) {
      if (!error) self->finish();
    });
    socket_.async_connect(
        to, [self = shared_from_this()](const error_code& error) { error ? self->finish() : self->ask(); });
  }

 private:
  void ask() {
    asio::async_write(
        socket_, asio::buffer(request_),
        [self = shared_from_this()](const error_code& error, std::size_t) { error ? self->finish() : self->listen(); });
  }
  void listen() {
    socket_.async_read_some(asio::buffer(buffer_), [self = shared_from_this()](const error_code& error, std::size_t n) {
      if (error) return self->finish();
      if (self->verdict_.feed({self->buffer_.data(), n}) == health::HttpVerdict::Result::more) return self->listen();
      self->finish();
    });
  }
  void finish() {
    error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    if (!done_) return;
    const AuthorizerDone done = std::exchange(done_, nullptr);
    done(verdict_.status());
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  health::HttpVerdict verdict_{{200, 299}};
  std::string request_;
  AuthorizerDone done_;
  std::array<char, 2048> buffer_;
};

}  // namespace

void call_authorizer(asio::io_context& loop, const route::ExternalAuthorizer& external, std::string request,
                     AuthorizerDone done) {
  std::make_shared<Call>(loop, std::move(request), std::move(done))
      ->start(endpoint_of(external), std::chrono::milliseconds{external.timeout_ms});
}

}  // namespace penstock::decide
