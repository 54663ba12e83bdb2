#include "mgmt/compile/id_registry.h"

#include <gtest/gtest.h>

namespace penstock::compile {
namespace {

using Kind = IdRegistry::Kind;

/// One transaction with these endpoint keys; the ids and slots they got.
std::map<std::string, IdRegistry::Ids> use(IdRegistry& registry, const std::vector<std::string>& keys) {
  std::map<std::string, IdRegistry::Ids> out;
  registry.begin();
  for (const std::string& key : keys) out.emplace(key, registry.acquire(Kind::endpoint, key).value());
  registry.commit();
  return out;
}

TEST(IdRegistry, a_key_in_use_keeps_id_and_slot) {
  IdRegistry registry;
  const auto first = use(registry, {"a", "b"});
  const auto second = use(registry, {"c", "b", "a"});
  EXPECT_EQ(first.at("a").id, second.at("a").id);
  EXPECT_EQ(first.at("b").stat_slot, second.at("b").stat_slot);
  EXPECT_NE(second.at("c").id, first.at("a").id);
}

TEST(IdRegistry, a_retired_slot_is_given_away_only_after_its_release) {
  IdRegistry registry{2};
  const auto first = use(registry, {"a", "b"});
  use(registry, {"a"});
  ASSERT_EQ(registry.retired().size(), 1u);
  EXPECT_EQ(registry.retired()[0].key, "b");
  registry.begin();
  EXPECT_TRUE(registry.acquire(Kind::endpoint, "a").has_value());
  EXPECT_FALSE(registry.acquire(Kind::endpoint, "c").has_value());
  registry.rollback();
  registry.release(first.at("b").stat_slot);
  EXPECT_TRUE(registry.retired().empty());
  const auto third = use(registry, {"a", "c"});
  EXPECT_EQ(third.at("c").stat_slot, first.at("b").stat_slot);
  EXPECT_NE(third.at("c").id, first.at("b").id) << "ids are never given twice";
}

TEST(IdRegistry, a_key_that_comes_back_before_its_release_is_what_it_was) {
  IdRegistry registry;
  const auto first = use(registry, {"a"});
  use(registry, {});
  const auto third = use(registry, {"a"});
  EXPECT_EQ(third.at("a").id, first.at("a").id);
  EXPECT_EQ(third.at("a").stat_slot, first.at("a").stat_slot);
}

TEST(IdRegistry, slots_never_used_come_first) {
  IdRegistry registry{3};
  const auto first = use(registry, {"a"});
  use(registry, {});
  registry.release(first.at("a").stat_slot);
  const auto second = use(registry, {"b", "c", "d"});
  EXPECT_EQ(second.at("b").stat_slot, 1u);
  EXPECT_EQ(second.at("c").stat_slot, 2u);
  EXPECT_EQ(second.at("d").stat_slot, 0u);
}

TEST(IdRegistry, a_slot_in_use_cannot_be_released) {
  IdRegistry registry;
  const auto first = use(registry, {"a"});
  registry.release(first.at("a").stat_slot);
  EXPECT_EQ(registry.slots_taken(), 1u);
  EXPECT_EQ(use(registry, {"a"}).at("a").stat_slot, first.at("a").stat_slot);
}

TEST(IdRegistry, a_rolled_back_transaction_leaves_no_trace) {
  IdRegistry registry;
  use(registry, {"a"});
  const std::string before = registry.save();
  registry.begin();
  (void)registry.acquire(Kind::endpoint, "b");
  (void)registry.acquire(Kind::cluster, "c");
  registry.rollback();
  EXPECT_EQ(registry.save(), before);
}

TEST(IdRegistry, kinds_do_not_share_keys_and_clusters_take_no_slot) {
  IdRegistry registry;
  registry.begin();
  const auto listener = registry.acquire(Kind::listener, "a");
  const auto cluster = registry.acquire(Kind::cluster, "a");
  registry.commit();
  EXPECT_NE(listener->id, cluster->id);
  EXPECT_EQ(cluster->stat_slot, IdRegistry::kNoSlot);
  EXPECT_EQ(registry.slots_taken(), 1u);
  registry.begin();
  registry.commit();
  ASSERT_EQ(registry.retired().size(), 1u) << "clusters have no flows of their own: they do not retire";
  EXPECT_EQ(registry.retired()[0].kind, Kind::listener);
}

TEST(IdRegistry, a_successor_goes_on_where_the_saved_one_was) {
  IdRegistry registry;
  const auto first = use(registry, {"a x", "b y"});
  use(registry, {"b y"});
  IdRegistry successor;
  ASSERT_TRUE(successor.restore(registry.save()).ok());
  EXPECT_EQ(successor.save(), registry.save());
  EXPECT_EQ(successor.retired(), registry.retired());
  const auto next = use(successor, {"b y", "c z"});
  EXPECT_EQ(next.at("b y").stat_slot, first.at("b y").stat_slot);
  EXPECT_NE(next.at("c z").stat_slot, first.at("a x").stat_slot) << "its gauge may not be 0";
}

TEST(IdRegistry, damaged_text_is_refused_and_changes_nothing) {
  IdRegistry registry;
  use(registry, {"a"});
  const std::string before = registry.save();
  for (const char* text :
       {"", "penstock-ids 2 5\n", "penstock-ids 1 x\n", "penstock-ids 1 5\nendpoint 1 0 used\n",
        "penstock-ids 1 5\nthing 1 0 used a\n", "penstock-ids 1 5\nendpoint 5 0 used a\n",
        "penstock-ids 1 5\nendpoint 1 16384 used a\n", "penstock-ids 1 5\nendpoint 1 - used a\n",
        "penstock-ids 1 5\ncluster 1 0 used a\n", "penstock-ids 1 5\nendpoint 1 0 used a\nendpoint 2 0 used b\n",
        "penstock-ids 1 5\nendpoint 1 0 used a\nendpoint 1 1 used b\n",
        "penstock-ids 1 5\nendpoint 1 0 used a\nendpoint 2 1 used a\n", "penstock-ids 1 5\nendpoint 1 0 maybe a\n"}) {
    EXPECT_FALSE(registry.restore(text).ok()) << text;
    EXPECT_EQ(registry.save(), before);
  }
}

}  // namespace
}  // namespace penstock::compile
