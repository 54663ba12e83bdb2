// A port that a dataplane refuses, on a real interface. Needs root.
#include "mgmt/daemon/port_reconciler.h"

#include <gtest/gtest.h>

#include "mgmt/kernel/bpffs.h"
#include "mgmt/kernel/netns_bed.h"
#include "mgmt/publish/fake_dataplane_test_support.h"

namespace penstock::daemon {
namespace {

using test::shell;

/// One port with large frames, which the dataplane has refused once; the wait of 10 s has begun.
class RefusedPortTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(kernel::mount_bpffs(bed_.directory() + "/bpf").ok());
    bed_.connect("veth0", "client");
    auto opened = kernel::Steering::open(bed_.directory() + "/bpf");
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    steering_.emplace(std::move(*opened));
    ports_.emplace(loop_, *steering_);
    dataplane_.refuse_ports = "no room";
    client_ = publish::run_on(loop_, open(dataplane_.connect()));
    ASSERT_NE(client_, nullptr);
    port_.name = "veth0";
    port_.large_frames = true;
    ports_->configure({port_}, nullptr);
    ASSERT_EQ(offers(), 1u);
    ASSERT_FALSE(ports_->ports()[0].attached) << "a program in generic mode costs the pod";
    ASSERT_EQ(offers(), 0u) << "nothing has changed";
  }
  publish::Task<DataplaneClient::Pointer> open(control::Channel channel) {
    auto client = co_await DataplaneClient::open(loop_, std::move(channel));
    co_return client.ok() ? *client : nullptr;
  }
  publish::Task<bool> reconcile() {
    co_await ports_->reconcile(client_, false);
    co_return true;
  }
  /// How often the dataplane was asked to take the port by one reconcile().
  std::size_t offers() {
    const std::size_t before = dataplane_.ports_offered;
    publish::run_on(loop_, reconcile());
    return dataplane_.ports_offered - before;
  }

  test::NetnsBed bed_;
  boost::asio::io_context loop_;
  publish::FakeDataplane dataplane_{loop_};
  DataplaneClient::Pointer client_;
  std::optional<kernel::Steering> steering_;
  std::optional<PortReconciler> ports_;
  config::Port port_;
};

TEST_F(RefusedPortTest, a_configuration_ends_the_wait) {
  ports_->configure({port_}, nullptr);
  EXPECT_EQ(offers(), 1u);
  EXPECT_EQ(offers(), 0u);
}

TEST_F(RefusedPortTest, a_link_that_was_down_ends_the_wait) {
  ASSERT_EQ(shell("ip link set veth0 down"), 0);
  EXPECT_EQ(offers(), 0u);
  ASSERT_EQ(shell("ip link set veth0 up"), 0);
  EXPECT_EQ(offers(), 1u);
  EXPECT_EQ(offers(), 0u);
}

TEST_F(RefusedPortTest, a_link_that_was_down_for_a_moment_ends_the_wait) {
  ASSERT_EQ(shell("ip link set veth0 down && ip link set veth0 up"), 0);
  EXPECT_EQ(offers(), 1u);
  EXPECT_EQ(offers(), 0u);
}

TEST_F(RefusedPortTest, what_is_not_refused_any_more_is_served) {
  dataplane_.refuse_ports.clear();
  EXPECT_EQ(offers(), 0u);
  ports_->configure({port_}, nullptr);
  EXPECT_EQ(offers(), 1u);
  EXPECT_TRUE(ports_->ports()[0].attached && ports_->ports()[0].served) << ports_->ports()[0].error;
}

}  // namespace
}  // namespace penstock::daemon
