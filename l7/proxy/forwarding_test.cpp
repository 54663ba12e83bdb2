// Lists of senders and trace headers: what is read, what is judged, what is written.
#include <gtest/gtest.h>

#include "l7/proxy/sender_list.h"
#include "l7/proxy/trace_context.h"

namespace penstock::proxy {
namespace {

TEST(SenderList, elements_come_from_the_right) {
  std::string_view list = " 1.1.1.1 ,, 2.2.2.2,\t3.3.3.3 , ";
  EXPECT_EQ(take_last(list), "3.3.3.3");
  EXPECT_EQ(take_last(list), "2.2.2.2");
  EXPECT_EQ(take_last(list), "1.1.1.1");
  EXPECT_EQ(take_last(list), "");
  std::string_view commas = ", ,";
  EXPECT_EQ(take_last(commas), "");
}

TEST(SenderList, an_element_may_have_a_port_and_brackets) {
  const auto v4 = IpAddress::v4(192, 0, 2, 1);
  const auto v6 = *IpAddress::parse("2001:db8::1");
  EXPECT_EQ(sender_address("192.0.2.1"), v4);
  EXPECT_EQ(sender_address("192.0.2.1:4711"), v4);
  EXPECT_EQ(sender_address("2001:db8::1"), v6);
  EXPECT_EQ(sender_address("[2001:db8::1]"), v6);
  EXPECT_EQ(sender_address("[2001:db8::1]:4711"), v6);
  for (const char* bad : {"", "unknown", "192.0.2", "[2001:db8::1", "[", "_hidden"})
    EXPECT_FALSE(sender_address(bad)) << bad;
}

std::string forwarded(const IpAddress& client, std::string_view host) {
  std::array<char, 200> room;
  stream::Writer out{room};
  put_forwarded(client, host, out);
  return std::string{out.text()};
}

TEST(SenderList, an_element_of_forwarded_quotes_what_is_no_token) {
  EXPECT_EQ(forwarded(IpAddress::v4(192, 0, 2, 1), "a.example"), "for=192.0.2.1;host=\"a.example\";proto=http");
  EXPECT_EQ(forwarded(*IpAddress::parse("2001:db8::1"), "a:80"), "for=\"[2001:db8::1]\";host=\"a:80\";proto=http");
  EXPECT_EQ(forwarded(IpAddress::v4(192, 0, 2, 1), ""), "for=192.0.2.1;proto=http");
}

TEST(SenderList, addresses_of_v6_have_the_form_that_servers_compare) {
  for (const char* text : {"2001:db8::1", "::", "::1", "1::", "2001:db8:0:1:1:1:1:1", "2001:0:0:1::2", "1:0:0:2::",
                           "2001:db8::1:0:0:1", "fe80::a0:b:c00d:ef12", "1:2:3:4:5:6:7:8", "0:1:0:1:0:1:0:1"}) {
    std::array<char, 48> room;
    stream::Writer out{room};
    put_address(*IpAddress::parse(text), out);
    EXPECT_EQ(out.text(), text);
  }
}

TEST(TraceContext, a_traceparent_has_one_form) {
  const std::string good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  EXPECT_TRUE(is_traceparent(good));
  EXPECT_FALSE(is_traceparent(good + "-x")) << "version 00 ends there";
  EXPECT_TRUE(is_traceparent("cc" + good.substr(2))) << "a later version";
  EXPECT_TRUE(is_traceparent("cc" + good.substr(2) + "-what.comes"));
  EXPECT_FALSE(is_traceparent("cc" + good.substr(2) + ".what"));
  EXPECT_FALSE(is_traceparent("ff" + good.substr(2)));
  EXPECT_FALSE(is_traceparent(""));
  for (std::size_t at = 0; at < good.size(); ++at) {
    EXPECT_FALSE(is_traceparent(good.substr(0, at))) << at;
    std::string bad = good;
    bad[at] = 'G';
    EXPECT_FALSE(is_traceparent(bad)) << at;
  }
  EXPECT_FALSE(is_traceparent("00-" + std::string(32, '0') + good.substr(35)));
  EXPECT_FALSE(is_traceparent(good.substr(0, 36) + std::string(16, '0') + "-01"));
}

TEST(TraceContext, a_tracestate_has_members_within_bounds) {
  for (const char* good : {"a=1", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", "0t@v=x y , b=2", "a=1,,b=2", "k/*-_=!"})
    EXPECT_TRUE(is_tracestate(good)) << good;
  for (const char* bad : {"", ",", "a", "=1", "A=1", "a=", "a=1=2", "a@b@c=1", "a b=1", "a=\t\x01"})
    EXPECT_FALSE(is_tracestate(bad)) << bad;
  EXPECT_FALSE(is_tracestate("a=" + std::string(600, 'x')));
  std::string many = "a=1";
  for (int i = 0; i < 32; ++i) many += ",b=2";
  EXPECT_FALSE(is_tracestate(many)) << "33 members";
}

TEST(TraceContext, what_is_made_is_valid_whatever_the_random_numbers) {
  for (const std::array<std::uint64_t, 3> random :
       {std::array<std::uint64_t, 3>{}, {1, 2, 3}, {~0ull, ~0ull, ~0ull}, {0x4bf92f3577b34da6, 0, 0}}) {
    for (const bool sampled : {true, false}) {
      std::array<char, kTraceparentOctets> out;
      write_traceparent(random, sampled, out);
      const std::string_view text{out.data(), out.size()};
      EXPECT_TRUE(is_traceparent(text)) << text;
      EXPECT_EQ(text.substr(52), sampled ? "-01" : "-00");
    }
  }
}

TEST(TraceContext, a_word_is_written_in_sixteen_digits_the_highest_first) {
  for (const auto& [word, text] :
       std::initializer_list<std::pair<std::uint64_t, std::string_view>>{{0, "0000000000000000"},
                                                                         {0x0123456789abcdef, "0123456789abcdef"},
                                                                         {~0ull, "ffffffffffffffff"},
                                                                         {0xfedcba9876543210, "fedcba9876543210"},
                                                                         {0x9a00000000000001, "9a00000000000001"}}) {
    std::array<char, kHexOctets> out;
    put_hex(word, out);
    EXPECT_EQ((std::string_view{out.data(), out.size()}), text);
  }
}

}  // namespace
}  // namespace penstock::proxy
