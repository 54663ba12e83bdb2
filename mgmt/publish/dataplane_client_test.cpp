#include "mgmt/publish/dataplane_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mgmt/publish/fake_dataplane_test_support.h"

namespace penstock::publish {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

class DataplaneClientTest : public ::testing::Test {
 protected:
  DataplaneClient::Pointer open() {
    auto client = run_on(loop_, open_task(dataplane_.connect()));
    EXPECT_NE(client, nullptr);
    return client;
  }
  Task<DataplaneClient::Pointer> open_task(control::Channel channel) {
    auto client = co_await DataplaneClient::open(loop_, std::move(channel));
    problem_ = client.ok() ? "" : client.error().text();
    co_return client.ok() ? *client : nullptr;
  }
  Status request(const DataplaneClient::Pointer& client, milliseconds at_most = milliseconds{1000}) {
    v1::Envelope envelope;
    envelope.mutable_heartbeats()->set_interval_ms(5);
    return run_on(loop_, client->request(std::move(envelope), {}, at_most));
  }
  boost::asio::io_context loop_;
  FakeDataplane dataplane_{loop_};
  std::string problem_;
};

TEST_F(DataplaneClientTest, hello_brings_segment_events_and_arenas) {
  const auto client = open();
  EXPECT_EQ(client->hello().message.boot_epoch(), 77u);
  EXPECT_EQ(client->segment().worker_count(), 1u);
  EXPECT_EQ(client->hello().arenas.size(), 1u);
  EXPECT_EQ(client->hello().connection_arenas.size(), 1u);
}

TEST_F(DataplaneClientTest, request_returns_when_its_ack_arrives) {
  const auto client = open();
  EXPECT_TRUE(request(client).ok());
  EXPECT_TRUE(request(client).ok());
}

TEST_F(DataplaneClientTest, a_silent_dataplane_is_a_problem_after_the_deadline_and_late_acks_are_ignored) {
  const auto client = open();
  dataplane_.silent = true;
  const Status late = request(client, milliseconds{20});
  ASSERT_FALSE(late.ok());
  EXPECT_THAT(late.error().text(), HasSubstr("20 ms"));
  dataplane_.silent = false;
  EXPECT_TRUE(request(client).ok());
}

TEST_F(DataplaneClientTest, a_broken_connection_fails_what_waits_and_is_told_once) {
  const auto client = open();
  int closed = 0;
  client->on_closed = [&](const std::string&) { ++closed; };
  dataplane_.hang_up_on_request = true;
  EXPECT_FALSE(request(client, milliseconds{5000}).ok());
  EXPECT_EQ(closed, 1);
  EXPECT_FALSE(client->connected());
  EXPECT_FALSE(request(client).ok());
}

TEST_F(DataplaneClientTest, a_peer_without_the_promised_descriptors_is_refused) {
  auto pair = control::Channel::pair();
  ASSERT_TRUE(pair.ok());
  v1::Envelope envelope;
  envelope.mutable_hello()->set_protocol_major(control::kProtocolMajor);
  envelope.mutable_hello()->set_protocol_minor(control::kProtocolMinor);
  envelope.mutable_hello()->set_worker_count(2);
  envelope.mutable_hello()->set_connection_arenas(2);
  ASSERT_TRUE(pair->first.send(envelope).ok());
  EXPECT_EQ(run_on(loop_, open_task(std::move(pair->second))), nullptr);
  EXPECT_THAT(problem_, HasSubstr("descriptors"));
}

TEST_F(DataplaneClientTest, a_dataplane_before_tier_x_is_refused_by_its_version) {
  auto pair = control::Channel::pair();
  ASSERT_TRUE(pair.ok());
  v1::Envelope envelope;
  envelope.mutable_hello()->set_protocol_major(control::kProtocolMajor);
  envelope.mutable_hello()->set_protocol_minor(2);
  envelope.mutable_hello()->set_worker_count(1);
  ASSERT_TRUE(pair->first.send(envelope).ok());
  EXPECT_EQ(run_on(loop_, open_task(std::move(pair->second))), nullptr);
  EXPECT_THAT(problem_, HasSubstr("speaks protocol 1.2, this side 1.3"));
  EXPECT_THAT(problem_, HasSubstr("same version"));
}

TEST_F(DataplaneClientTest, another_protocol_major_is_refused) {
  auto pair = control::Channel::pair();
  ASSERT_TRUE(pair.ok());
  v1::Envelope envelope;
  envelope.mutable_hello()->set_protocol_major(control::kProtocolMajor + 1);
  ASSERT_TRUE(pair->first.send(envelope).ok());
  EXPECT_EQ(run_on(loop_, open_task(std::move(pair->second))), nullptr);
  EXPECT_THAT(problem_, HasSubstr("protocol"));
}

}  // namespace
}  // namespace penstock::publish
