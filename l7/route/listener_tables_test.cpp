#include "l7/route/listener_tables.h"

#include <gtest/gtest.h>

#include "dataplane/control/snapshot_writer.h"
#include "l7/route/compile/compiler.h"
#include "l7/route/match.h"

namespace penstock::route {
namespace {

RouteTable table_of(const std::string& cluster, const std::string& expression) {
  Route route;
  route.match.path = {PathKind::regex, expression, false};
  Forward forward;
  forward.clusters = {{cluster, 1}};
  route.action = std::move(forward);
  return {{{"any", {"*"}, {std::move(route)}}}};
}

/// A snapshot with one listener of HTTP per table.
struct Content {
  control::SnapshotContent content;
  Compiler compiler;

  Content() { content.node = control::default_node_record(); }
  void add(const RouteTable& table, std::uint32_t clusters) {
    const auto compiled = compiler.compile(table, Databases::all);
    ASSERT_TRUE(compiled.ok());
    const auto index = static_cast<std::uint32_t>(content.http_listeners.size());
    control::HttpListenerRecord http{};
    http.header_timeout_ms = http.idle_timeout_ms = 1000;
    http.cluster_count = clusters;
    http.first_cluster = static_cast<std::uint32_t>(content.route_clusters.size());
    http.first_route = static_cast<std::uint32_t>(content.route_slots.size());
    http.route_count = static_cast<std::uint32_t>(compiled->report.routes);
    content.route_clusters.resize(content.route_clusters.size() + clusters);
    content.route_slots.resize(content.route_slots.size() + http.route_count);
    control::add_route_image(content, compiled->image.bytes(), http);
    content.http_listeners.push_back(http);
    control::ListenerRecord listener{};
    listener.address = IpAddress::v4(10, 96, 0, 10);
    listener.port = Be16::from_host(static_cast<std::uint16_t>(80 + index));
    listener.proto = IpProto::tcp;
    listener.mode = control::ListenerMode::proxy;
    listener.id = 100 + index;
    listener.stat_slot = index;
    listener.cluster = control::kNoIndex;
    listener.http = index;
    content.listeners.push_back(listener);
    content.clusters = {{1, 0, 0, 0, 0, 0}};
  }
  /// Aligned as a mapping is.
  [[nodiscard]] Image image() const { return Image{ByteView{control::write_snapshot(content, 1)}}; }
};

Result<ListenerTables> load(const Image& image, const ListenerTables* previous = nullptr) {
  const auto view = control::SnapshotView::open(image.bytes());
  if (!view) return view.error();
  return ListenerTables::load(*view, previous);
}

std::uint32_t route_of(const LoadedTable& table, Scratch& scratch, std::string_view path) {
  return match(table, {"h", path, "", "GET", "http", {}}, scratch, 0).route;
}

TEST(ListenerTables, every_listener_routes_by_its_own_table) {
  Content c;
  c.add(table_of("a", "/a+"), 1);
  c.add(table_of("b", "/b+"), 1);
  const Image image = c.image();
  const auto tables = load(image);
  ASSERT_TRUE(tables.ok()) << tables.error().text();
  ASSERT_EQ(tables->size(), 2u);
  EXPECT_EQ(tables->linear_hosts(), 0u);
  Scratch scratch;
  ASSERT_TRUE(grow(scratch, *tables).ok());
  EXPECT_EQ(route_of((*tables)[0], scratch, "/aa"), 0u);
  EXPECT_EQ(route_of((*tables)[1], scratch, "/aa"), kNoRoute);
  EXPECT_EQ(route_of((*tables)[1], scratch, "/bb"), 0u);
  EXPECT_EQ((*tables)[1].view().cluster_name(0), "b");
}

TEST(ListenerTables, databases_are_shared_with_the_tables_before) {
  Content c;
  c.add(table_of("a", "/a+"), 1);
  const Image image = c.image();
  const auto first = load(image);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(first->deserialised(), 1u);
  const auto second = load(image, &*first);
  ASSERT_TRUE(second.ok());
  EXPECT_EQ(second->deserialised(), 0u);
}

TEST(ListenerTables, a_damaged_image_is_refused_with_its_listener) {
  Content c;
  c.add(table_of("a", "/a+"), 1);
  c.content.route_images[80] ^= std::byte{1};
  const auto tables = load(c.image());
  ASSERT_FALSE(tables.ok());
  EXPECT_NE(tables.error().text().find("snapshot: http_listeners[0]: "), std::string::npos) << tables.error().text();
}

TEST(ListenerTables, a_record_that_counts_differently_is_refused) {
  Content clusters;
  clusters.add(table_of("a", "/a+"), 2);
  EXPECT_EQ(load(clusters.image()).error().text(),
            "snapshot: http_listeners[0]: route table names 1 clusters, the record 2");
  Content routes;
  routes.add(table_of("a", "/a+"), 1);
  routes.content.http_listeners[0].route_count = 0;
  EXPECT_EQ(load(routes.image()).error().text(), "snapshot: http_listeners[0]: route table has 1 routes, the record 0");
}

}  // namespace
}  // namespace penstock::route
