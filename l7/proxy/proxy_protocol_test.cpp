// The PROXY protocol: what is a header, what is none, at every cut; what is written is read back.
#include "l7/proxy/proxy_protocol.h"

#include <gtest/gtest.h>

#include <string>

namespace penstock::proxy {
namespace {

using Status = ProxyHeaderStatus;

const IpAddress kClient4 = IpAddress::v4(192, 0, 2, 7), kService4 = IpAddress::v4(198, 51, 100, 9);
const IpAddress kClient6 = *IpAddress::parse("2001:db8::7"), kService6 = *IpAddress::parse("2001:db8::9");

/// Version 2 with this command, family and body.
std::string v2(int command, int family, const std::string& body) {
  std::string out{"\r\n\r\n\0\r\nQUIT\n", 12};
  out += static_cast<char>(command);
  out += static_cast<char>(family);
  out += static_cast<char>(body.size() >> 8);
  out += static_cast<char>(body.size() & 0xff);
  return out + body;
}
const std::string kBody4{"\xc0\x00\x02\x07\xc6\x33\x64\x09\x12\x67\x00\x50", 12};

std::string with_crc(std::string header, std::uint32_t wrong = 0) {
  header[15] = static_cast<char>(header[15] + 7);
  header += std::string{"\x03\x00\x04\0\0\0\0", 7};
  const std::uint32_t crc = crc32c(header) ^ wrong;
  for (std::size_t i = 0; i < 4; ++i) header[header.size() - 4 + i] = static_cast<char>(crc >> (24 - 8 * i));
  return header;
}

TEST(ProxyProtocol, the_checksum_is_that_of_the_standards_example) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c("6789", crc32c("12345")), 0xe3069283u);
}

TEST(ProxyProtocol, a_header_is_found_at_every_cut_and_what_follows_is_left) {
  struct Good {
    std::string header;
    bool has_ends;
    Ends ends;
  };
  const Ends v4{kClient4, kService4, 4711, 80}, v6{kClient6, kService6, 4711, 80};
  const Good rows[] = {
      {"PROXY TCP4 192.0.2.7 198.51.100.9 4711 80\r\n", true, v4},
      {"PROXY TCP6 2001:db8::7 2001:db8::9 4711 80\r\n", true, v6},
      {"PROXY TCP6 ::ffff:192.0.2.7 2001:db8::9 0 65535\r\n", true, {kClient4, kService6, 0, 65535}},
      {"PROXY UNKNOWN\r\n", false, {}},
      {"PROXY UNKNOWN whatever else 1\r\n", false, {}},
      {v2(0x21, 0x11, kBody4), true, {kClient4, kService4, 4711, 80}},
      {v2(0x21, 0x11, kBody4 + std::string{"\x20\x00\x01x\xea\x00\x00", 7}), true, v4},
      {with_crc(v2(0x21, 0x11, kBody4)), true, v4},
      {v2(0x20, 0x11, kBody4), false, {}},
      {v2(0x20, 0x77, "ignored"), false, {}},
      {v2(0x21, 0x00, "ignored"), false, {}},
      {v2(0x21, 0x31, std::string(216, 'u')), false, {}},
  };
  for (const Good& row : rows) {
    for (std::size_t cut = 0; cut < row.header.size(); ++cut)
      EXPECT_EQ(read_proxy_header(row.header.substr(0, cut)).status, Status::more) << row.header << cut;
    for (const char* behind : {"", "GET / HTTP/1.1\r\n", "\r\n"}) {
      const ProxyHeader got = read_proxy_header(row.header + behind);
      ASSERT_EQ(got.status, Status::done) << row.header;
      EXPECT_EQ(got.octets, row.header.size());
      EXPECT_EQ(got.has_ends, row.has_ends);
      EXPECT_EQ(got.ends, row.ends) << row.header;
    }
  }
}

TEST(ProxyProtocol, what_is_no_header_is_refused_as_soon_as_it_shows) {
  const std::string long_line = "PROXY UNKNOWN " + std::string(200, 'x');
  const std::string rows[] = {
      "GET / HTTP/1.1\r\n",
      "PROXX",
      "PROXY TCP4 192.0.2.7 198.51.100.9 4711 80\n",
      "PROXY TCP4 192.0.2.7 198.51.100.9 4711 80 \r\n",
      "PROXY TCP4  192.0.2.7 198.51.100.9 4711 80\r\n",
      "PROXY TCP4 192.0.2.7 198.51.100.9 4711\r\n",
      "PROXY TCP4 192.0.2.7 198.51.100.9 04711 80\r\n",
      "PROXY TCP4 192.0.2.7 198.51.100.9 65536 80\r\n",
      "PROXY TCP4 192.0.2.7 198.51.100.9 -1 80\r\n",
      "PROXY TCP4 192.0.2.256 198.51.100.9 1 80\r\n",
      "PROXY TCP4 2001:db8::7 2001:db8::9 1 80\r\n",
      "PROXY TCP6 192.0.2.7 198.51.100.9 1 80\r\n",
      "PROXY TCP4 192.0.2.7 198.51.100.9 1 80\r\r\n",
      "PROXY UDP4 192.0.2.7 198.51.100.9 1 80\r\n",
      "PROXY UNKNOWN\t\r\n",
      "PROXY UNKNOWNX\r\n",
      "PROXY \r\n",
      long_line,
      std::string{"\r\n\r\n\0\r\nQUIT\nx", 13},
      v2(0x31, 0x11, kBody4),
      v2(0x22, 0x11, kBody4),
      v2(0x21, 0x12, kBody4),
      v2(0x21, 0x41, kBody4),
      v2(0x21, 0x11, kBody4.substr(1)),
      v2(0x21, 0x21, kBody4),
      v2(0x21, 0x31, kBody4),
      v2(0x21, 0x11, kBody4 + "x"),
      v2(0x21, 0x11, kBody4 + std::string{"\x20\x00\x02x", 4}),
      v2(0x21, 0x11, kBody4 + std::string{"\x03\x00\x02xx", 5}),
      v2(0x20, 0x00, std::string(5000, 'x')).substr(0, 16),
      with_crc(v2(0x21, 0x11, kBody4), 1),
      with_crc(with_crc(v2(0x21, 0x11, kBody4))),
  };
  for (const std::string& row : rows) EXPECT_EQ(read_proxy_header(row).status, Status::bad) << row;
}

TEST(ProxyProtocol, what_is_written_is_read_back) {
  const IpAddress longest = *IpAddress::parse("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
  const Ends rows[] = {{kClient4, kService4, 4711, 80},
                       {kClient6, kService6, 65535, 65535},
                       {kClient4, kService6, 1, 2},
                       {longest, longest, 65535, 65535}};
  for (const Ends& ends : rows)
    for (const std::uint8_t version : {std::uint8_t{1}, std::uint8_t{2}}) {
      std::array<char, kProxyWrittenOctetsMax> room;
      const std::string_view text = write_proxy_header(version, ends, room);
      const ProxyHeader got = read_proxy_header(text);
      ASSERT_EQ(got.status, Status::done) << text;
      EXPECT_EQ(got.octets, text.size());
      EXPECT_EQ(got.ends, ends);
      EXPECT_TRUE(version == 2 || text.size() <= kProxyV1OctetsMax);
    }
}

}  // namespace
}  // namespace penstock::proxy
