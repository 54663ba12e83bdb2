// Links, addresses, namespaces, bpffs and preflight on a live kernel.
#include "mgmt/kernel/links.h"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <filesystem>

#include "mgmt/kernel/bpffs.h"
#include "mgmt/kernel/netns_bed.h"
#include "mgmt/kernel/preflight.h"
#include "mgmt/kernel/sysctl.h"

namespace penstock::kernel {
namespace {

using penstock::test::shell;

class LinksTest : public testing::Test {
 protected:
  // Events until one satisfies `wanted`, at most a second.
  static bool sees(LinkWatch& watch, const std::function<bool(const LinkEvent&)>& wanted) {
    for (int i = 0; i < 10; ++i) {
      pollfd waiting{watch.fd(), POLLIN, 0};
      ::poll(&waiting, 1, 100);
      const auto events = watch.drain();
      if (std::any_of(events.begin(), events.end(), wanted)) return true;
    }
    return false;
  }
  penstock::test::NetnsBed bed_;
};

TEST_F(LinksTest, watch_reports_present_links_first_and_then_every_change) {
  auto opened = LinkWatch::open();
  ASSERT_TRUE(opened.ok());
  LinkWatch watch = std::move(opened).value();
  const auto first = watch.drain();
  ASSERT_FALSE(first.empty());
  EXPECT_EQ(first[0].kind, LinkEventKind::appeared);
  EXPECT_EQ(first[0].link.name, "lo");
  EXPECT_TRUE(watch.drain().empty());
  bed_.connect("veth0", "client");
  EXPECT_TRUE(
      sees(watch, [](const LinkEvent& e) { return e.kind == LinkEventKind::appeared && e.link.name == "veth0"; }));
  shell("ip link set veth0 down");
  EXPECT_TRUE(sees(watch, [](const LinkEvent& e) { return e.kind == LinkEventKind::changed && !e.link.up; }));
  shell("ip link set veth0 name veth9");
  EXPECT_TRUE(sees(watch, [](const LinkEvent& e) {
    return e.kind == LinkEventKind::renamed && e.old_name == "veth0" && e.link.name == "veth9";
  }));
  shell("ip link del veth9");
  EXPECT_TRUE(
      sees(watch, [](const LinkEvent& e) { return e.kind == LinkEventKind::vanished && e.link.name == "veth9"; }));
}

TEST_F(LinksTest, overflow_of_notifications_loses_no_change) {
  auto opened = LinkWatch::open();
  ASSERT_TRUE(opened.ok());
  LinkWatch watch = std::move(opened).value();
  (void)watch.drain();
  bed_.connect("veth0", "client");
  for (int i = 0; i < 40; ++i) shell("for i in 1 2 3 4 5 6 7 8 9 10; do ip link set veth0 mtu 14$i; done");
  shell("ip link set veth0 mtu 1280");
  EXPECT_TRUE(sees(watch, [](const LinkEvent& e) { return e.link.name == "veth0" && e.link.mtu == 1280; }));
}

TEST_F(LinksTest, link_is_described) {
  bed_.connect("veth0", "client");
  shell("ip link set veth0 address 02:00:00:00:00:07 mtu 1400");
  const auto link = find_link("veth0");
  ASSERT_TRUE(link.ok());
  EXPECT_TRUE(link->is_veth() && link->up && !link->loopback);
  EXPECT_EQ(link->mtu, 1400u);
  EXPECT_EQ(link->mac.text(), "02:00:00:00:00:07");
  EXPECT_EQ(rx_queue_count("veth0"), 1u);
  shell("ip link add name many numrxqueues 4 type veth peer name many1 numtxqueues 4");
  EXPECT_EQ(rx_queue_count("many"), 4u);
}

TEST_F(LinksTest, missing_link_names_those_that_are_there) {
  const auto link = find_link("nowhere");
  ASSERT_FALSE(link.ok());
  EXPECT_NE(link.error().remedy.find("lo"), std::string::npos) << link.error().text();
}

TEST_F(LinksTest, links_and_addresses_of_another_namespace_are_read) {
  bed_.connect("veth0", "client");
  ASSERT_EQ(bed_.in("client", "ip address add 10.1.0.2/24 dev eth0"), 0);
  auto other = open_netns(bed_.ns("client"));
  ASSERT_TRUE(other.ok());
  EXPECT_TRUE(find_link("eth0", other->get()).ok());
  EXPECT_FALSE(find_link("eth0").ok());
  const auto addresses = list_addresses(other->get());
  ASSERT_TRUE(addresses.ok());
  EXPECT_TRUE(std::any_of(addresses->begin(), addresses->end(), [](const LinkAddress& each) {
    return each.prefix.address.text() == "10.1.0.2" && each.prefix.bits == 24;
  }));
}

TEST_F(LinksTest, unknown_namespace_is_a_problem) { EXPECT_FALSE(open_netns("psk-no-such-namespace").ok()); }

TEST_F(LinksTest, bpffs_is_mounted_once_and_unmounted) {
  const std::string directory = bed_.directory() + "/deep/bpf";
  EXPECT_FALSE(is_bpffs(directory));
  ASSERT_TRUE(mount_bpffs(directory).ok());
  EXPECT_TRUE(is_bpffs(directory));
  ASSERT_TRUE(mount_bpffs(directory).ok()) << "idempotent";
  ASSERT_TRUE(unmount_bpffs(directory).ok());
  EXPECT_FALSE(is_bpffs(directory)) << "there was one mount, not two";
  EXPECT_FALSE(std::filesystem::exists(directory));
  EXPECT_TRUE(unmount_bpffs(directory).ok());
}

TEST_F(LinksTest, preflight_answers_every_question_and_leaves_nothing_behind) {
  const auto checks = preflight({.runtime_dir = bed_.directory()});
  EXPECT_EQ(checks.size(), 10u);
  for (const PreflightCheck& check : checks) {
    EXPECT_TRUE(check.ok) << check.name << ": " << check.problem.text();
    EXPECT_FALSE(check.detail.empty()) << check.name;
  }
  EXPECT_TRUE(required_problems(checks).empty());
  EXPECT_EQ(penstock::test::output_of("nft list tables"), "");
}

TEST_F(LinksTest, source_ports_among_ephemeral_ones_are_told_unless_somebody_reserves_them) {
  PreflightOptions options;
  options.fallback = false;
  ASSERT_TRUE(write_sysctl("net/ipv4/ip_local_port_range", "32768 60999").ok());
  EXPECT_TRUE(check_source_ports(options).ok) << "apart";
  ASSERT_TRUE(write_sysctl("net/ipv4/ip_local_port_range", "20000 60999").ok());
  const PreflightCheck told = check_source_ports(options);
  EXPECT_FALSE(told.ok);
  EXPECT_FALSE(told.required);
  EXPECT_NE(told.problem.text().find("16384-29999 overlap the kernel's ephemeral ports 20000-60999"), std::string::npos)
      << told.problem.text();
  options.fallback = true;
  EXPECT_TRUE(check_source_ports(options).ok) << "penstockd reserves them";
  options.fallback = false;
  ASSERT_TRUE(write_sysctl("net/ipv4/ip_local_reserved_ports", "20000-29999").ok());
  EXPECT_TRUE(check_source_ports(options).ok) << "the administrator has";
}

}  // namespace
}  // namespace penstock::kernel
