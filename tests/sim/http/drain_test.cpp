// Listeners and endpoints that go while they serve, over real TCP.
#include <gtest/gtest.h>

#include "tests/sim/http/http_world.h"

namespace penstock::sim {
namespace {

constexpr std::uint64_t kSecond = 1'000'000;

void set_draining(World& world, bool draining) {
  world.listeners[0].draining = draining;
  world.publish();
}
std::uint64_t counted(HttpWorld& run, control::ResponseDetail detail) {
  return run.world().counters(0).http.by_detail[static_cast<std::size_t>(detail)].read();
}
std::uint64_t listener_gone(HttpWorld& run) { return run.world().proxied(&control::ProxyCounters::listener_gone); }

/// A client that asks, waits, and asks again.
std::vector<RequestPlan> patient(std::uint64_t until_us) {
  return {{.answer_body = 50}, {.answer_body = 60, .not_before_us = until_us}};
}

TEST(HttpDrain, idle_connections_end_in_good_order_before_the_drain_does) {
  HttpRunOptions options;
  options.changes = {{kSecond, [](World& world) { set_draining(world, true); }},
                     {3 * kSecond, [](World& world) {
                        EXPECT_EQ(world.slot_sum(world.listener_slot(1), &control::SlotCounters::active), 0u)
                            << "nothing of the listener is left";
                        set_draining(world, false);
                      }}};
  HttpWorld run{options, {patient(4 * kSecond), patient(4 * kSecond), patient(5 * kSecond)}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.answered(), 6u);
  EXPECT_EQ(run.broken_off(), 0u);
  EXPECT_EQ(run.client_connections(), 6u) << "the first three were closed";
}

TEST(HttpDrain, a_request_on_a_kept_connection_is_answered_as_its_last) {
  HttpRunOptions options;
  options.changes = {{500'000, [](World& world) { set_draining(world, true); }},
                     {800'000, [](World& world) { set_draining(world, false); }}};
  std::vector<RequestPlan> plans{{.answer_body = 5}, {.answer_body = 6, .not_before_us = 600'000}};
  HttpWorld run{options, {plans}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.answered(), 2u);
  EXPECT_EQ(run.last_response().field("connection"), "close");
  EXPECT_EQ(run.client_connections(), 1u);
  EXPECT_EQ(run.broken_off(), 0u);
}

/// Answers under way when it begins are large: some have begun, some not.
TEST(HttpDrain, what_is_under_way_is_finished_on_a_bad_wire_too) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    HttpRunOptions options;
    options.seed = seed;
    options.loss_permille = seed % 2 == 0 ? 20 : 0;
    options.pipeline = 1 + static_cast<std::uint32_t>(seed % 3);
    const std::uint64_t from_us = 4'000 + 1'500 * seed;
    options.changes = {{from_us, [](World& world) { set_draining(world, true); }},
                       {from_us + 8 * kSecond, [](World& world) {
                          EXPECT_EQ(world.slot_sum(world.listener_slot(1), &control::SlotCounters::active), 0u);
                          set_draining(world, false);
                        }}};
    const std::vector<RequestPlan> plans(4, {.method = "POST", .body = 20'000, .answer_body = 120'000});
    HttpWorld run{options, {plans, plans, plans}};
    ASSERT_EQ(run.run(), "") << "seed " << seed;
    EXPECT_EQ(run.answered(), 12u);
    EXPECT_EQ(listener_gone(run), 0u);
    EXPECT_EQ(counted(run, control::ResponseDetail::shutdown), 0u);
  }
}

/// The same address under another name: what is read is served by whoever is there now.
TEST(HttpDrain, a_replaced_listener_hands_its_connections_on) {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    HttpRunOptions options;
    options.seed = seed;
    for (std::uint32_t n = 1; n <= 20; ++n)
      options.changes.push_back({1'000u * n, [n](World& world) {
                                   world.listeners[0].id = 1 + n % 2;
                                   world.publish();
                                 }});
    const std::vector<RequestPlan> plans(30, {.method = "POST", .body = 3'000, .answer_body = 9'000});
    HttpWorld run{options, {plans, plans, patient(3 * kSecond)}};
    ASSERT_EQ(run.run(), "") << "seed " << seed;
    EXPECT_EQ(run.broken_off(), 0u);
    EXPECT_GT(run.client_connections(), 6u);
    EXPECT_EQ(counted(run, control::ResponseDetail::none), 62u);
    EXPECT_EQ(listener_gone(run), 0u);
  }
}

TEST(HttpDrain, what_outlives_it_is_reset_and_counted) {
  HttpRunOptions options;
  options.changes = {{kSecond, [](World& world) { set_draining(world, true); }},
                     {5 * kSecond,
                      [](World& world) {
                        const auto listeners = std::exchange(world.listeners, {});
                        world.publish();
                        world.listeners = listeners;
                      }},
                     {6 * kSecond, [](World& world) { set_draining(world, false); }}};
  HttpWorld run{options, {{{.answer_body = 5, .fault = ServerFault::silent}}}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.answered(), 1u) << "by the second try";
  EXPECT_EQ(run.broken_off(), 1u);
  EXPECT_EQ(listener_gone(run), 1u);
  EXPECT_EQ(counted(run, control::ResponseDetail::shutdown), 1u);
}

TEST(HttpDrain, kept_connections_to_a_drained_endpoint_are_closed_at_once) {
  HttpRunOptions options;
  const auto idle = [](World& world) { return world.counters(0).http.upstream_idle.read(); };
  options.changes = {
      {kSecond,
       [=](World& world) {
         EXPECT_EQ(idle(world), 2u);
         world.listeners[0].endpoints[1].weight = 0;
         world.publish();
       }},
      {kSecond + 1000, [=](World& world) {
         EXPECT_EQ(idle(world), 1u);
         const SimListener& listener = world.listeners[0];
         EXPECT_EQ(world.slot_sum(world.endpoint_slot(listener.endpoints[1]), &control::SlotCounters::active), 0u)
             << "in good order, so that a drain of it ends";
       }}};
  std::vector<RequestPlan> plans{
      {.answer_body = 5}, {.answer_body = 6}, {.answer_body = 7, .not_before_us = 2 * kSecond}};
  HttpWorld run{options, {plans}};
  EXPECT_EQ(run.run(), "");
  EXPECT_EQ(run.server_connections(), 2u);
  EXPECT_EQ(run.broken_off(), 0u);
}

}  // namespace
}  // namespace penstock::sim
