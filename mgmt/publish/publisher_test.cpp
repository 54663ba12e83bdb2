#include "mgmt/publish/publisher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "mgmt/publish/fake_dataplane_test_support.h"

namespace penstock::publish {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class FakeKernel : public KernelSide {
 public:
  Status apply_steering(const compile::SteeringState& wanted, const config::Node&) override {
    if (!refuse.empty()) return Problem{"steering", refuse, ""};
    if (log != nullptr && wanted.services.size() != services)
      log->push_back("steering " + std::to_string(wanted.services.size()) + " services");
    services = wanted.services.size();
    return Done{};
  }
  Status apply_fallback(const compile::FallbackState& wanted) override {
    if (log != nullptr && wanted.services.size() != fallback)
      log->push_back("fallback " + std::to_string(wanted.services.size()) + " services");
    fallback = wanted.services.size();
    return Done{};
  }
  std::string refuse;
  std::size_t services{};
  std::size_t fallback{};
  std::vector<std::string>* log{};
};

config::Config config_with(std::size_t listeners, std::uint16_t weight = 1) {
  config::Config config;
  config.node.addresses = {IpAddress::v4(10, 10, 2, 1)};
  config.node.drain_timeout = std::chrono::seconds{30};
  config.clusters = {
      {"web", 251, {{IpAddress::v4(10, 10, 2, 11), 8080, weight}, {IpAddress::v4(10, 10, 2, 12), 8080, 1}}}};
  for (std::size_t i = 0; i < listeners; ++i) {
    config::Listener listener;
    listener.name = "web" + std::to_string(i);
    listener.address = IpAddress::v4(10, 96, 0, static_cast<std::uint8_t>(10 + i));
    listener.port = 80;
    listener.cluster = "web";
    config.listeners.push_back(listener);
  }
  return config;
}

constexpr Instant at(std::int64_t seconds) { return Instant{std::chrono::seconds{seconds}}; }

class PublisherTest : public ::testing::Test {
 protected:
  PublisherTest() {
    dataplane_.log = kernel_.log = &log_;
    connect();
  }
  void connect() { client_ = run_on(loop_, open_task(dataplane_.connect())); }
  Task<DataplaneClient::Pointer> open_task(control::Channel channel) {
    auto client = co_await DataplaneClient::open(loop_, std::move(channel));
    co_return client.ok() ? *client : nullptr;
  }
  ApplyOutcome apply(config::Config config, Instant now = at(0)) {
    return run_on(loop_, publisher_.apply(std::move(config), client_, now));
  }
  Status drain(Instant now) { return run_on(loop_, publisher_.drain_step(client_, now)); }
  void set_active(const std::string& listener, std::uint64_t flows) {
    for (const auto& info : publisher_.compiled().listeners)
      if (info.name == listener) dataplane_.segment.block(0).counters.slots[info.stat_slot].active.set(flows);
  }
  static std::size_t open_files() {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}));
  }
  static std::size_t mappings() {
    std::ifstream maps{"/proc/self/maps"};
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>{maps}, {}, '\n'));
  }
  static std::size_t resident_pages() {
    std::size_t total = 0;
    std::size_t resident = 0;
    std::ifstream{"/proc/self/statm"} >> total >> resident;
    return resident;
  }

  boost::asio::io_context loop_;
  std::vector<std::string> log_;
  FakeDataplane dataplane_{loop_};
  FakeKernel kernel_;
  Publisher publisher_{kernel_};
  DataplaneClient::Pointer client_;
};

TEST_F(PublisherTest, workers_know_a_service_before_the_kernel_steers_it) {
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  EXPECT_THAT(log_, ElementsAre("snapshot with 2 listeners", "fallback 2 services", "steering 2 services"));
  EXPECT_EQ(publisher_.epoch_acknowledged(), publisher_.epoch_compiled());
}

TEST_F(PublisherTest, a_mode_changes_under_live_connections_by_one_snapshot_and_nothing_else) {
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  set_active("web1", 3);
  log_.clear();
  config::Config proxied = config_with(2);
  proxied.listeners[1].mode = control::ListenerMode::proxy;
  ASSERT_TRUE(apply(proxied).problems.empty());
  EXPECT_THAT(log_, ElementsAre("snapshot with 2 listeners"));
  EXPECT_TRUE(publisher_.draining().listeners.empty());
  EXPECT_EQ(dataplane_.segment.block(0).counters.slots[publisher_.compiled().listeners[1].stat_slot].active.read(), 3u)
      << "the connections that began before count where they did";
  EXPECT_EQ(publisher_.epoch_acknowledged(), publisher_.epoch_compiled());
}

TEST_F(PublisherTest, a_removed_proxy_listener_waits_for_its_connections_up_to_the_drain_timeout) {
  config::Config proxied = config_with(2);
  proxied.listeners[1].mode = control::ListenerMode::proxy;
  ASSERT_TRUE(apply(proxied).problems.empty());
  set_active("web1", 1);
  ASSERT_TRUE(apply(config_with(1), at(10)).problems.empty());
  ASSERT_TRUE(drain(at(39)).ok());
  EXPECT_EQ(kernel_.services, 2u) << "one connection is still alive";
  ASSERT_TRUE(drain(at(40)).ok());
  EXPECT_EQ(kernel_.services, 1u) << "its time is up";
}

TEST_F(PublisherTest, health_reaches_workers_by_one_snapshot_and_stays_over_other_changes) {
  ASSERT_TRUE(apply(config_with(1)).problems.empty());
  log_.clear();
  compile::Health health;
  health.unhealthy.emplace("web", IpAddress::v4(10, 10, 2, 12), 8080);
  ASSERT_TRUE(run_on(loop_, publisher_.set_health(health, client_, at(1))).ok());
  EXPECT_THAT(log_, ElementsAre("snapshot with 1 listeners"));
  EXPECT_FALSE(publisher_.compiled().endpoints[1].healthy);
  EXPECT_EQ(publisher_.compiled().fallback.services[0].endpoints.size(), 1u);
  EXPECT_EQ(publisher_.epoch_acknowledged(), publisher_.epoch_compiled());
  ASSERT_TRUE(run_on(loop_, publisher_.set_health(health, client_, at(2))).ok());
  EXPECT_EQ(log_.size(), 1u) << "nothing new";
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  EXPECT_FALSE(publisher_.compiled().endpoints[1].healthy);
  ASSERT_TRUE(run_on(loop_, publisher_.set_health({}, client_, at(3))).ok());
  EXPECT_TRUE(publisher_.compiled().endpoints[1].healthy);
}

TEST_F(PublisherTest, a_removed_service_loses_steering_only_when_its_flows_have_ended_and_its_place_last) {
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  set_active("web1", 3);
  log_.clear();
  ASSERT_TRUE(apply(config_with(1)).problems.empty());
  EXPECT_THAT(log_, ElementsAre("snapshot with 2 listeners", "fallback 1 services"));
  EXPECT_EQ(kernel_.services, 2u);
  ASSERT_TRUE(drain(at(1)).ok());
  EXPECT_EQ(kernel_.services, 2u) << "three flows are still alive";
  set_active("web1", 0);
  log_.clear();
  ASSERT_TRUE(drain(at(2)).ok());
  EXPECT_THAT(log_, ElementsAre("steering 1 services"));
  ASSERT_TRUE(drain(at(3)).ok());
  EXPECT_THAT(log_, ElementsAre("steering 1 services", "snapshot with 1 listeners"));
  EXPECT_TRUE(publisher_.draining().listeners.empty());
}

TEST_F(PublisherTest, replies_of_dnat_flows_stay_steered_through_drain_steps_until_those_flows_have_ended) {
  config::Config dnat = config_with(2);
  dnat.listeners[0].forwarding = control::Forwarding::dnat;
  ASSERT_TRUE(apply(dnat).problems.empty());
  const auto set_endpoints = [&](std::uint64_t flows) {
    for (const auto& info : publisher_.compiled().endpoints)
      dataplane_.segment.block(0).counters.slots[info.stat_slot].active.set(flows);
  };
  set_endpoints(2);
  // The DNAT listener becomes FullNAT, and another service goes: its drain steps must leave the sources alone.
  ASSERT_TRUE(apply(config_with(1)).problems.empty());
  EXPECT_EQ(publisher_.draining().sources.size(), 2u);
  for (int second = 1; second < 4; ++second) ASSERT_TRUE(drain(at(second)).ok());
  EXPECT_TRUE(publisher_.draining().listeners.empty());
  EXPECT_EQ(publisher_.draining().sources.size(), 2u);
  set_endpoints(0);
  ASSERT_TRUE(drain(at(4)).ok());
  EXPECT_TRUE(publisher_.draining().sources.empty());
}

TEST_F(PublisherTest, a_drain_ends_at_its_deadline_whatever_lives) {
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  set_active("web1", 3);
  ASSERT_TRUE(apply(config_with(1), at(10)).problems.empty());
  ASSERT_TRUE(drain(at(39)).ok());
  EXPECT_EQ(kernel_.services, 2u);
  ASSERT_TRUE(drain(at(41)).ok());
  EXPECT_EQ(kernel_.services, 1u);
}

TEST_F(PublisherTest, a_service_that_comes_back_while_draining_is_simply_there) {
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  set_active("web1", 3);
  ASSERT_TRUE(apply(config_with(1)).problems.empty());
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  EXPECT_TRUE(publisher_.draining().listeners.empty());
  ASSERT_TRUE(drain(at(100)).ok());
  EXPECT_EQ(kernel_.services, 2u);
  EXPECT_EQ(dataplane_.listeners, 2u);
}

TEST_F(PublisherTest, a_refused_snapshot_leaves_everything_as_it_was) {
  ASSERT_TRUE(apply(config_with(1)).problems.empty());
  const auto before = dataplane_.content_hash;
  dataplane_.refuse_snapshots = "no room for listeners";
  const ApplyOutcome outcome = apply(config_with(2));
  ASSERT_EQ(outcome.problems.size(), 1u);
  EXPECT_TRUE(outcome.refused);
  EXPECT_THAT(outcome.problems[0].text(), HasSubstr("no room"));
  EXPECT_EQ(kernel_.services, 1u);
  EXPECT_EQ(publisher_.config().listeners.size(), 1u);
  dataplane_.refuse_snapshots.clear();
  ASSERT_TRUE(apply(config_with(1)).problems.empty());
  EXPECT_EQ(dataplane_.content_hash, before);
}

TEST_F(PublisherTest, a_refused_steering_change_takes_the_snapshot_back) {
  ASSERT_TRUE(apply(config_with(1)).problems.empty());
  const auto before = dataplane_.content_hash;
  kernel_.refuse = "map is full";
  EXPECT_TRUE(apply(config_with(2)).refused);
  EXPECT_EQ(dataplane_.content_hash, before);
  EXPECT_GT(dataplane_.epoch, 1u) << "put back as a new epoch";
}

TEST_F(PublisherTest, without_a_dataplane_a_configuration_waits_for_it) {
  const auto outcome = run_on(loop_, publisher_.apply(config_with(2), nullptr, at(0)));
  EXPECT_TRUE(outcome.problems.empty());
  EXPECT_EQ(dataplane_.epoch, 0u);
  ASSERT_TRUE(run_on(loop_, publisher_.resync(client_)).ok());
  EXPECT_EQ(dataplane_.listeners, 2u);
}

TEST_F(PublisherTest, a_new_dataplane_gets_the_present_configuration_and_an_adopted_one_keeps_its_own) {
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  const std::uint64_t epoch = dataplane_.epoch;
  client_->close();
  connect();  // same process, same content
  ASSERT_TRUE(run_on(loop_, publisher_.resync(client_)).ok());
  EXPECT_EQ(dataplane_.epoch, epoch);
  client_->close();
  dataplane_.epoch = dataplane_.content_hash = 0;  // a new process
  connect();
  ASSERT_TRUE(run_on(loop_, publisher_.resync(client_)).ok());
  EXPECT_EQ(dataplane_.listeners, 2u);
}

TEST_F(PublisherTest, a_successor_daemon_goes_on_above_the_epoch_in_force) {
  dataplane_.epoch = 40;
  dataplane_.content_hash = 1;
  client_->close();
  connect();
  ASSERT_TRUE(run_on(loop_, publisher_.resync(client_)).ok());
  ASSERT_TRUE(apply(config_with(1)).problems.empty());
  EXPECT_GT(dataplane_.epoch, 40u);
}

TEST_F(PublisherTest, an_equal_configuration_sends_nothing) {
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  const std::size_t received = dataplane_.received;
  ASSERT_TRUE(apply(config_with(2)).problems.empty());
  EXPECT_EQ(dataplane_.received, received);
}

TEST_F(PublisherTest, a_thousand_reloads_leave_no_file_no_mapping_and_no_memory_behind) {
  const auto reload = [&](std::int64_t i) {
    ASSERT_TRUE(
        apply(config_with(1 + static_cast<std::size_t>(i) % 7, static_cast<std::uint16_t>(1 + i % 50)), at(i * 40))
            .problems.empty());
    ASSERT_TRUE(drain(at(i * 40 + 35)).ok());
    ASSERT_TRUE(drain(at(i * 40 + 36)).ok());
    log_.clear();
  };
  for (std::int64_t i = 0; i < 200; ++i) reload(i);
  const std::size_t files = open_files();
  const std::size_t maps = mappings();
  const std::size_t pages = resident_pages();
  for (std::int64_t i = 200; i < 1200; ++i) reload(i);
  EXPECT_EQ(open_files(), files);
  EXPECT_LE(mappings(), maps + 4);
#ifndef __SANITIZE_ADDRESS__  // which keeps freed memory in quarantine
  EXPECT_LE(resident_pages(), pages + 1024) << "4 MiB";
#else
  EXPECT_GT(pages, 0u);
#endif
  EXPECT_TRUE(publisher_.compiler().retired().empty());
}

TEST(Background, the_loop_goes_on_while_work_is_done_and_hears_what_it_throws) {
  boost::asio::io_context loop;
  Background background;
  std::atomic<bool> over{};
  int ticks_meanwhile = 0;
  const auto tick = [&]() -> Task<void> {
    boost::asio::steady_timer timer{loop};
    while (!over) {
      timer.expires_after(std::chrono::milliseconds{1});
      co_await timer.async_wait(boost::asio::use_awaitable);
      ticks_meanwhile += over ? 0 : 1;
    }
  };
  boost::asio::co_spawn(loop, tick, boost::asio::detached);
  const auto work = [&]() -> Task<std::thread::id> {
    std::thread::id worker;
    const std::function<void()> slow = [&] {
      worker = std::this_thread::get_id();
      std::this_thread::sleep_for(std::chrono::milliseconds{60});
      over = true;
    };
    co_await background.run(slow);
    co_return worker;
  };
  EXPECT_NE(run_on(loop, work()), std::this_thread::get_id());
  EXPECT_GT(ticks_meanwhile, 5);
  const auto failing = [&]() -> Task<bool> {
    const std::function<void()> throws = [] { throw std::runtime_error{"no"}; };
    try {
      co_await background.run(throws);
    } catch (const std::runtime_error&) {
      co_return true;
    }
    co_return false;
  };
  EXPECT_TRUE(run_on(loop, failing()));
}

}  // namespace
}  // namespace penstock::publish
