#include "mgmt/health/probe.h"

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "mgmt/health/http_verdict.h"

namespace penstock::health {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

tcp::endpoint endpoint_of(const IpAddress& address, std::uint16_t port) {
  if (address.is_v4()) {
    asio::ip::address_v4::bytes_type octets;
    std::copy(address.octets.begin() + 12, address.octets.end(), octets.begin());
    return {asio::ip::address_v4{octets}, port};
  }
  asio::ip::address_v6::bytes_type octets;
  std::copy(address.octets.begin(), address.octets.end(), octets.begin());
  return {asio::ip::address_v6{octets}, port};
}

class RunningProbe final : public Probe {
 public:
  RunningProbe(asio::io_context& loop, const config::HealthCheck& check, std::string request, Done done)
      : socket_{loop},
        timer_{loop},
        verdict_{check.expected_statuses},
        request_{std::move(request)},
        done_{std::move(done)},
        timeout_{check.timeout},
        began_{Clock::now()} {}

  void start(const tcp::endpoint& to) {
    timer_.expires_after(timeout_);
    timer_.async_wait([self = self()](const error_code& error) {
      if (!error) self->finish(false, "no answer within " + std::to_string(self->timeout_.count()) + " ms");
    });
    socket_.async_connect(to, [self = self()](const error_code& error) {
      if (error) return self->finish(false, error.message());
      if (self->request_.empty()) return self->finish(true, "connected");
      self->ask();
    });
  }
  void cancel() override {
    done_ = nullptr;
    close();
  }

 private:
  std::shared_ptr<RunningProbe> self() { return std::static_pointer_cast<RunningProbe>(shared_from_this()); }
  void ask() {
    asio::async_write(socket_, asio::buffer(request_), [self = self()](const error_code& error, std::size_t) {
      if (error) return self->finish(false, error.message());
      self->listen();
    });
  }
  void listen() {
    socket_.async_read_some(asio::buffer(buffer_), [self = self()](const error_code& error, std::size_t octets) {
      const auto result = error ? self->verdict_.end() : self->verdict_.feed({self->buffer_.data(), octets});
      if (error && error != asio::error::eof) return self->finish(false, error.message());
      if (result == HttpVerdict::Result::more) return self->listen();
      self->finish(result == HttpVerdict::Result::healthy, self->verdict_.reason());
    });
  }
  void finish(bool good, const std::string& reason) {
    close();
    if (!done_) return;
    const Done done = std::exchange(done_, nullptr);
    done({good, reason, std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - began_)});
  }
  void close() {
    error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
  }

  tcp::socket socket_;
  asio::steady_timer timer_;
  HttpVerdict verdict_;
  std::string request_;  ///< empty: connecting is all
  Done done_;
  std::chrono::milliseconds timeout_;
  Clock::time_point began_;
  std::array<char, 4096> buffer_;
};

/// A PROXY header of a connection that is nobody's: UNKNOWN, LOCAL.
std::string preface(control::ProxyProtocol version) {
  switch (version) {
    case control::ProxyProtocol::off:
      return "";
    case control::ProxyProtocol::v1:
      return "PROXY UNKNOWN\r\n";
    case control::ProxyProtocol::v2:
      return std::string{"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16};
  }
  return "";
}

}  // namespace

std::string check_request(const config::HealthCheck& check, const IpAddress& address, std::uint16_t port) {
  const std::string text = address.text();
  const std::string authority = (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
  return preface(check.proxy_protocol) + "GET " + check.path +
         " HTTP/1.1\r\nHost: " + (check.host.empty() ? authority : check.host) +
         "\r\nUser-Agent: penstock-health-check\r\nAccept: */*\r\nConnection: close\r\n\r\n";
}

std::shared_ptr<Probe> Probe::run(asio::io_context& loop, const config::HealthCheck& check, const IpAddress& address,
                                  std::uint16_t port, Done done) {
  const bool http = check.kind == config::CheckKind::http;
  auto probe =
      std::make_shared<RunningProbe>(loop, check, http ? check_request(check, address, port) : "", std::move(done));
  probe->start(endpoint_of(address, port));
  return probe;
}

}  // namespace penstock::health
