// Against real servers on the loopback interface.
#include "mgmt/health/checker.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>

#include "mgmt/health/probe.h"

namespace penstock::health {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using namespace std::chrono_literals;

/// Answers every connection with a text, and keeps what it was asked.
class Server {
 public:
  explicit Server(asio::io_context& loop) : acceptor_{loop, {asio::ip::address_v4::loopback(), 0}} { accept(); }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string answer{"HTTP/1.1 200 OK\r\n\r\n"};
  std::string asked;
  int connections{0};

 private:
  struct Peer {
    explicit Peer(tcp::socket s) : socket{std::move(s)} {}
    tcp::socket socket;
    std::array<char, 2048> buffer{};
  };
  void accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
      if (error) return;
      ++connections;
      const auto peer = std::make_shared<Peer>(std::move(socket));
      peer->socket.async_read_some(asio::buffer(peer->buffer), [this, peer](const auto& e, std::size_t octets) {
        if (e) return;
        asked.assign(peer->buffer.data(), octets);
        if (answer.empty()) return hold_.push_back(peer);  // never answers
        asio::async_write(peer->socket, asio::buffer(answer), [peer](const auto&, std::size_t) {});
      });
      accept();
    });
  }
  tcp::acceptor acceptor_;
  std::vector<std::shared_ptr<Peer>> hold_;
};

class CheckerTest : public testing::Test {
 protected:
  config::Cluster cluster(std::uint16_t port, config::CheckKind kind) {
    config::Cluster out;
    out.name = "web";
    out.endpoints = {{IpAddress::v4(127, 0, 0, 1), port, 1}};
    out.health_checks = {{.kind = kind,
                          .interval = 20ms,
                          .jitter = 5ms,
                          .timeout = 100ms,
                          .healthy_threshold = 2,
                          .unhealthy_threshold = 2,
                          .path = "/h",
                          .host = "h.example"}};
    return out;
  }
  /// Runs the loop until `done`, at most five seconds.
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!done() && std::chrono::steady_clock::now() < end) loop_.run_for(5ms), loop_.restart();
    return done();
  }
  EndpointState state(std::uint16_t port) { return checker_.state_of("web", IpAddress::v4(127, 0, 0, 1), port); }
  asio::io_context loop_;
  Checker checker_{loop_, 7};
};

TEST_F(CheckerTest, an_endpoint_turns_unhealthy_and_back) {
  Server server{loop_};
  int changes = 0;
  checker_.on_change = [&] { ++changes; };
  checker_.configure({cluster(server.port(), config::CheckKind::http)});
  EXPECT_TRUE(state(server.port()).checked);
  ASSERT_TRUE(run_until([&] { return state(server.port()).state == State::healthy; }));
  EXPECT_NE(server.asked.find("GET /h HTTP/1.1\r\nHost: h.example\r\n"), std::string::npos) << server.asked;
  EXPECT_EQ(changes, 0);
  EXPECT_TRUE(checker_.health().unhealthy.empty());
  server.answer = "HTTP/1.1 503 Busy\r\n\r\n";
  ASSERT_TRUE(run_until([&] { return state(server.port()).state == State::unhealthy; }));
  EXPECT_EQ(changes, 1);
  EXPECT_EQ(state(server.port()).reason, "status 503");
  EXPECT_FALSE(checker_.health().is_healthy("web", {IpAddress::v4(127, 0, 0, 1), server.port(), 1}));
  server.answer = "HTTP/1.1 200 OK\r\n\r\n";
  ASSERT_TRUE(run_until([&] { return state(server.port()).state == State::healthy; }));
  EXPECT_EQ(changes, 2);
  EXPECT_EQ(state(server.port()).changes, 3u);
  EXPECT_GE(state(server.port()).bad, 2u);
}

TEST_F(CheckerTest, a_server_that_does_not_answer_is_unhealthy_after_the_timeout) {
  Server server{loop_};
  server.answer.clear();
  checker_.configure({cluster(server.port(), config::CheckKind::http)});
  ASSERT_TRUE(run_until([&] { return state(server.port()).state == State::unhealthy; }));
  EXPECT_EQ(state(server.port()).reason, "no answer within 100 ms");
}

TEST_F(CheckerTest, a_tcp_check_is_a_connection) {
  std::uint16_t port = 0;
  {
    Server server{loop_};
    port = server.port();
    checker_.configure({cluster(port, config::CheckKind::tcp)});
    ASSERT_TRUE(run_until([&] { return state(port).state == State::healthy; }));
    EXPECT_EQ(server.asked, "");
  }
  ASSERT_TRUE(run_until([&] { return state(port).state == State::unhealthy; }));
  EXPECT_EQ(state(port).reason, "Connection refused");
}

TEST_F(CheckerTest, what_did_not_change_keeps_its_state_and_what_left_is_forgotten) {
  Server server{loop_};
  server.answer = "HTTP/1.1 500 No\r\n\r\n";
  const config::Cluster first = cluster(server.port(), config::CheckKind::http);
  checker_.configure({first});
  ASSERT_TRUE(run_until([&] { return state(server.port()).state == State::unhealthy; }));
  config::Cluster second = first;
  second.endpoints.push_back({IpAddress::v4(127, 0, 0, 2), 1, 1});
  checker_.configure({second});
  EXPECT_EQ(state(server.port()).state, State::unhealthy);
  second.health_checks[0].path = "/other";
  checker_.configure({second});
  EXPECT_EQ(state(server.port()).state, State::unknown) << "another check";
  checker_.configure({});
  EXPECT_TRUE(checker_.health().unhealthy.empty());
  EXPECT_FALSE(state(server.port()).checked);
  const int connections = server.connections;
  loop_.run_for(60ms);
  EXPECT_LE(server.connections, connections + 1) << "one may have been under way";
}

TEST_F(CheckerTest, more_targets_than_probes_are_all_checked) {
  Server server{loop_};
  config::Cluster many = cluster(server.port(), config::CheckKind::tcp);
  many.endpoints.clear();
  const std::uint16_t count = kProbesMax + 100;
  for (std::uint16_t i = 0; i < count; ++i)
    many.endpoints.push_back({IpAddress::v4(127, 0, 0, 1), std::uint16_t(i + 1), 1});
  many.health_checks[0].port = server.port();
  many.health_checks[0].interval = 1h;
  many.health_checks[0].timeout = 5s;
  checker_.configure({many});
  EXPECT_TRUE(run_until([&] {
    for (std::uint16_t i = 0; i < count; ++i)
      if (state(std::uint16_t(i + 1)).state != State::healthy) return false;
    return true;
  }));
}

TEST(Probe, the_request_names_the_endpoint_when_no_host_is_given) {
  config::HealthCheck check{.kind = config::CheckKind::http};
  const std::string request = check_request(check, IpAddress::parse("fd00::1").value(), 80);
  EXPECT_EQ(request.substr(0, request.find("User-Agent")), "GET / HTTP/1.1\r\nHost: [fd00::1]:80\r\n");
}

TEST(Probe, an_endpoint_that_expects_a_PROXY_header_gets_one_of_nobody) {
  config::HealthCheck check{.kind = config::CheckKind::http};
  const IpAddress address = IpAddress::parse("192.0.2.1").value();
  const std::string plain = check_request(check, address, 80);
  check.proxy_protocol = control::ProxyProtocol::v1;
  EXPECT_EQ(check_request(check, address, 80), "PROXY UNKNOWN\r\n" + plain);
  check.proxy_protocol = control::ProxyProtocol::v2;
  const std::string local{"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16};
  EXPECT_EQ(check_request(check, address, 80), local + plain);
}

}  // namespace
}  // namespace penstock::health
