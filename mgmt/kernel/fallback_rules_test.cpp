// The pure parts of the kernel path: rules as text, port sets, pin names.
#include "mgmt/kernel/fallback_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mgmt/kernel/steer_port.h"
#include "mgmt/kernel/sysctl.h"

namespace penstock::kernel {
namespace {

IpAddress address(const char* text) { return *IpAddress::parse(text); }

std::string rules_with_weights(std::uint16_t one, std::uint16_t two, std::uint16_t three) {
  FallbackState state;
  state.services = {
      {address("10.96.0.10"),
       80,
       IpProto::tcp,
       false,
       {{address("10.2.0.2"), 8080, one}, {address("10.2.0.3"), 8080, two}, {address("10.2.0.4"), 81, three}}}};
  const auto rules = fallback_ruleset("t", state, {});
  return rules.ok() ? *rules : rules.error().text();
}

TEST(FallbackRules, small_reduced_weights_become_single_numbers) {
  EXPECT_THAT(rules_with_weights(300, 0, 100),
              testing::HasSubstr("meta l4proto tcp counter dnat ip to numgen random mod 4 map { 0 : 10.2.0.2 . 8080, "
                                 "1 : 10.2.0.2 . 8080, 2 : 10.2.0.2 . 8080, 3 : 10.2.0.4 . 81 }"));
}

TEST(FallbackRules, uneven_weights_become_intervals) {
  EXPECT_THAT(rules_with_weights(997, 2, 1),
              testing::HasSubstr("mod 1000 map { 0-996 : 10.2.0.2 . 8080, 997-998 : 10.2.0.3 . 8080, "
                                 "999 : 10.2.0.4 . 81 }"));
}

TEST(FallbackRules, no_weight_at_all_drops) {
  EXPECT_THAT(rules_with_weights(0, 0, 0), testing::HasSubstr("chain service-0 {\n    counter drop\n"));
}

TEST(FallbackRules, sources_of_dnat_services_are_guarded_and_those_of_fullnat_are_not) {
  FallbackState state;
  state.services = {{address("10.96.0.10"), 80, IpProto::tcp, true, {{address("10.2.0.2"), 8080, 1}}},
                    {address("fd00::10"), 80, IpProto::tcp, false, {{address("fd00::2"), 8081, 1}}}};
  const auto rules = fallback_ruleset("t", state, {});
  ASSERT_TRUE(rules.ok());
  EXPECT_NE(rules->find("set sources4 { type ipv4_addr . inet_proto . inet_service; }"), std::string::npos) << *rules;
  EXPECT_NE(rules->find("elements = { fd00::2 . tcp . 8081 }"), std::string::npos) << *rules;
}

TEST(FallbackRules, masquerading_takes_the_larger_side_of_the_reserved_range) {
  EXPECT_EQ(masquerade_ports(16384, 29999), (PortSpan{30000, 65535}));
  EXPECT_EQ(masquerade_ports(50000, 65000), (PortSpan{1024, 49999}));
}

TEST(FallbackRules, empty_port_range_is_refused) {
  FallbackState state;
  state.source_port_low = 5;
  state.source_port_high = 4;
  EXPECT_FALSE(fallback_ruleset("t", state, {}).ok());
}

TEST(PortSetText, reads_and_writes_the_form_of_the_kernel) {
  PortSet ports = PortSet::parse("80,1000-2000,65535");
  EXPECT_EQ(ports.text(), "80,1000-2000,65535");
  ports.add(1500, 3000);
  ports.remove(80, 80);
  EXPECT_EQ(ports.text(), "1000-3000,65535");
  EXPECT_EQ(PortSet::parse("").text(), "");
}

TEST(PortPinName, survives_dots_and_at_signs) {
  for (const char* name : {"eth0", "eth0.100", "a@b", "v-e.t.h"}) {
    const PortPin pin{name, 12, 4026531840};
    EXPECT_EQ(pin.directory_name().find('.'), std::string::npos);
    EXPECT_EQ(PortPin::parse(pin.directory_name()), pin) << pin.directory_name();
  }
  for (const char* other : {"", "@", "@@", "eth0", "eth0@1", "eth0@x@1", "eth0@1@"})
    EXPECT_FALSE(PortPin::parse(other).has_value()) << other;
}

}  // namespace
}  // namespace penstock::kernel
