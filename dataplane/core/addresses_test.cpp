#include "dataplane/core/addresses.h"

#include <gtest/gtest.h>

namespace penstock {
namespace {

TEST(IpAddress, both_families_survive_a_round_trip_through_text) {
  for (const char* text : {"10.1.2.3", "0.0.0.0", "255.255.255.255", "fd00::1", "::", "2001:db8::a:b"}) {
    const auto address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
  }
}

TEST(IpAddress, text_that_is_no_address_is_refused) {
  for (const char* text :
       {"", "10.0.0", "10.0.0.256", "10.0.0.1 ", "fd00::1%eth0", "fd00:::1", "10.0.0.1/8", "localhost"})
    EXPECT_FALSE(IpAddress::parse(text)) << text;
}

TEST(IpAddress, mapped_form_is_ipv4) {
  EXPECT_TRUE(IpAddress::parse("::ffff:10.0.0.1")->is_v4());
  EXPECT_EQ(*IpAddress::parse("::ffff:10.0.0.1"), *IpAddress::parse("10.0.0.1"));
}

TEST(IpPrefix, contains_compares_only_the_prefix_and_the_family) {
  const auto ten = *IpPrefix::parse("10.0.0.0/9");
  EXPECT_TRUE(ten.contains(*IpAddress::parse("10.127.255.255")));
  EXPECT_FALSE(ten.contains(*IpAddress::parse("10.128.0.0")));
  EXPECT_TRUE(IpPrefix::parse("fd00::/8")->contains(*IpAddress::parse("fdff::1")));
  EXPECT_FALSE(IpPrefix::parse("::/0")->contains(*IpAddress::parse("10.0.0.1")));
  EXPECT_TRUE(IpPrefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("10.0.0.1")));
}

TEST(IpPrefix, host_bits_and_bad_lengths_are_refused) {
  for (const char* text : {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "fd00::/129"})
    EXPECT_FALSE(IpPrefix::parse(text)) << text;
  EXPECT_EQ(IpPrefix::parse("10.0.0.1")->bits, 32);
  EXPECT_EQ(IpPrefix::parse("fd00::/64")->text(), "fd00::/64");
}

TEST(MacAddress, text_survives_a_round_trip_and_nonsense_is_refused) {
  EXPECT_EQ(MacAddress::parse("02:00:5e:10:ff:01")->text(), "02:00:5e:10:ff:01");
  for (const char* text : {"", "02:00:5e:10:ff", "02-00-5e-10-ff-01", "02:00:5e:10:ff:0g", "2:0:5e:10:ff:1aaaaaa"})
    EXPECT_FALSE(MacAddress::parse(text)) << text;
}

}  // namespace
}  // namespace penstock
