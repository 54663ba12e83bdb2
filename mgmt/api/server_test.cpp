#include "mgmt/api/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "mgmt/api/client.h"

namespace penstock::api {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() : path_{(std::filesystem::temp_directory_path() / ("psk-api-" + std::to_string(::getpid()))).string()} {}
  ~ServerTest() override {
    loop_.stop();
    if (thread_.joinable()) thread_.join();
    server_.close();
    std::filesystem::remove(path_);
  }
  void start(Handler handler) {
    const Status listening = server_.listen_unix(path_, 0660, std::move(handler));
    ASSERT_TRUE(listening.ok()) << listening.error().text();
    thread_ = std::thread{[this] { loop_.run(); }};
  }
  std::string path_;
  boost::asio::io_context loop_;
  Server server_{loop_};
  std::thread thread_;
};

Request get(const std::string& path) { return {"GET", path, {}, "", std::nullopt}; }

TEST_F(ServerTest, a_request_reaches_the_handler_whole_and_the_answer_comes_back) {
  start([](const Request& request, const Respond& respond) {
    respond({201, "text/plain",
             request.method + " " + request.path + " " + request.query.at("a") + " " + request.body + " " +
                 std::to_string(request.peer_uid.value_or(9999))});
  });
  const Request request{"POST", "/v1/apply", {{"a", "b c"}}, "yaml: 1", std::nullopt};
  const auto response = call(path_, request, milliseconds{2000});
  ASSERT_TRUE(response.ok()) << response.error().text;
  EXPECT_EQ(response->status, 201u);
  EXPECT_EQ(response->body, "POST /v1/apply b c yaml: 1 " + std::to_string(::getuid()));
}

TEST_F(ServerTest, the_socket_file_has_its_mode_and_goes_with_the_server) {
  start([](const Request&, const Respond& respond) { respond({}); });
  EXPECT_EQ(std::filesystem::status(path_).permissions(), std::filesystem::perms{0660});
  EXPECT_TRUE(unix_socket_is_alive(path_));
  loop_.stop();
  thread_.join();
  server_.close();
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ServerTest, a_living_socket_is_not_taken_and_a_stale_one_is) {
  start([](const Request&, const Respond& respond) { respond({}); });
  boost::asio::io_context other_loop;
  Server other{other_loop};
  const Status taken = other.listen_unix(path_, 0660, [](const Request&, const Respond&) {});
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().text(), HasSubstr("another penstockd"));
}

TEST_F(ServerTest, an_unreachable_socket_and_a_silent_daemon_are_told_apart) {
  const auto nobody = call(path_ + ".none", get("/"), milliseconds{200});
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().kind, Failure::Kind::unreachable);
  std::vector<Respond> held;
  start([&](const Request&, const Respond& respond) { held.push_back(respond); });
  const auto silent = call(path_, get("/"), milliseconds{200});
  ASSERT_FALSE(silent.ok());
  EXPECT_EQ(silent.error().kind, Failure::Kind::timeout);
  loop_.stop();
  thread_.join();
}

TEST_F(ServerTest, a_taken_tcp_port_is_a_problem_with_a_remedy) {
  const IpAddress local = IpAddress::v4(127, 0, 0, 1);
  ASSERT_TRUE(server_.listen_tcp(local, 0, [](const Request&, const Respond&) {}).ok());
  const Status taken = tcp_port_is_free(local, server_.tcp_port());
  ASSERT_FALSE(taken.ok());
  EXPECT_THAT(taken.error().text(), HasSubstr("node.metrics"));
}

}  // namespace
}  // namespace penstock::api
