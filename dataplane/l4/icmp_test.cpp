#include "dataplane/l4/icmp.h"

#include <gtest/gtest.h>

#include <array>

#include "dataplane/l4/verify.h"
#include "tests/support/flow_pair.h"
#include "tests/support/packet_builder.h"
#include "tests/support/seeded.h"

namespace penstock::l4 {
namespace {

using test::Bytes;
using test::ChecksumMode;
using test::FlowPair;
using test::PacketBuilder;
using test::side;
using test::TestFrame;

const Link kLink{*MacAddress::parse("02:00:00:00:00:aa"), *MacAddress::parse("02:00:00:00:00:bb"), 0};

/// Addresses of one family.
struct Net {
  bool v4;
  test::Side client, service, source, endpoint;
  IpAddress router;
};
Net net(bool v4) {
  if (v4)
    return {true,
            side("10.1.0.2", 40000),
            side("10.96.0.10", 80),
            side("10.10.2.1", 16384),
            side("10.10.2.11", 8080),
            test::ip("10.9.9.9")};
  return {false,
          side("fd01::2", 40000),
          side("fd96::10", 80),
          side("fd10:2::1", 16384),
          side("fd10:2::11", 8080),
          test::ip("fd09::9")};
}

Bytes quote(const test::Side& src, const test::Side& dst, bool tcp, std::size_t payload, std::size_t octets,
            ChecksumMode mode = ChecksumMode::full) {
  PacketBuilder out;
  out.from_to(src.address, dst.address).ttl(9).checksum(mode);
  if (tcp)
    out.tcp(src.port.host(), dst.port.host(), "PA").seq(123456);
  else
    out.udp(src.port.host(), dst.port.host());
  return out.payload_octets(payload).quote(octets);
}

PacketBuilder error(const IpAddress& from, const IpAddress& to, Bytes quoted) {
  PacketBuilder out;
  out.from_to(from, to).ttl(60);
  if (from.is_v4())
    out.icmp(3, 4, 1400);
  else
    out.icmp(2, 0, 1400);
  return out.payload(std::move(quoted));
}

/// Error about what went to `match`'s sender, before and after, for one size of quote.
void check_translation(const Net& n, const FlowPair& flow, bool tcp, bool about_forward, std::size_t payload,
                       std::size_t octets, ChecksumMode mode) {
  const auto& match = about_forward ? flow.reverse : flow.forward;
  const auto& partner = about_forward ? flow.forward : flow.reverse;
  const test::Side sent_from{match.dst, match.dst_port}, sent_to{match.src, match.src_port};
  const test::Side original_from{partner.src, partner.src_port}, original_to{partner.dst, partner.dst_port};

  TestFrame frame{error(n.router, sent_from.address, quote(sent_from, sent_to, tcp, payload, octets, mode)).build()};
  const auto info = wire::parse_packet(frame.frame().bytes());
  ASSERT_TRUE(info.ok());
  ASSERT_EQ(info->kind, wire::PacketKind::icmp_error);
  const auto quoted = parse_quoted(frame.frame().bytes(), *info);
  ASSERT_TRUE(quoted.ok()) << name_of(quoted.reason());
  EXPECT_EQ(quoted->src, match.dst);
  EXPECT_EQ(quoted->dst, match.src);
  EXPECT_EQ(quoted->src_port, match.dst_port);
  EXPECT_EQ(quoted->dst_port, match.src_port);
  EXPECT_EQ(quoted->proto, tcp ? IpProto::tcp : IpProto::udp);

  ASSERT_EQ(translate_error(frame.frame(), *info, *quoted, match, partner, kLink), DropReason::none);
  // The side that is not translated (DNAT, endpoint) sees the router itself; the other side sees the service or node.
  const bool same_network = match.src == partner.dst;
  PacketBuilder expected = error(same_network ? n.router : partner.dst, partner.src,
                                 quote(original_from, original_to, tcp, payload, octets, mode));
  expected.ttl(59).eth(kLink.source.text(), kLink.destination.text());
  EXPECT_EQ(frame.content(), expected.build()) << test::dump(frame.content()) << test::dump(expected.build());
  EXPECT_TRUE(test::problems_of(frame.content()).empty()) << test::dump(frame.content());
}

TEST(IcmpTranslate, gives_exactly_the_error_about_the_original_packet_in_every_combination) {
  for (const bool v4 : {true, false})
    for (const bool tcp : {true, false})
      for (const bool fullnat : {true, false})
        for (const bool about_forward : {true, false}) {
          const Net n = net(v4);
          const FlowPair flow = flow_pair(n.client, n.service, fullnat ? n.source : n.client, n.endpoint,
                                          tcp ? IpProto::tcp : IpProto::udp);
          const std::size_t ip_header = v4 ? 20 : 40;
          // The least a router may quote, cuts around the TCP checksum, odd lengths, and the whole packet.
          for (const std::size_t quoted : {8u, 9u, 16u, 18u, 19u, 20u, 33u, 500u}) {
            SCOPED_TRACE(testing::Message() << "v4 " << v4 << " tcp " << tcp << " fullnat " << fullnat << " forward "
                                            << about_forward << " quoted " << quoted);
            check_translation(n, flow, tcp, about_forward, 100, ip_header + quoted, ChecksumMode::full);
          }
        }
}

TEST(IcmpTranslate, half_a_quoted_checksum_is_left_as_it_is) {
  const Net n = net(true);
  const FlowPair flow = flow_pair(n.client, n.service, n.source, n.endpoint);
  const Bytes quoted_bytes = quote(n.source, n.endpoint, true, 50, 20 + 17);
  TestFrame frame{error(n.router, n.source.address, quoted_bytes).build()};
  const auto info = wire::parse_packet(frame.frame().bytes());
  const auto quoted = parse_quoted(frame.frame().bytes(), *info);
  ASSERT_TRUE(quoted.ok());
  ASSERT_EQ(translate_error(frame.frame(), *info, *quoted, flow.reverse, flow.forward, kLink), DropReason::none);
  EXPECT_EQ(frame.content().back(), quoted_bytes.back());
  EXPECT_TRUE(test::problems_of(frame.content()).empty()) << test::dump(frame.content());
}

TEST(IcmpTranslate, a_quoted_datagram_without_checksum_stays_without) {
  const Net n = net(true);
  const FlowPair flow = flow_pair(n.client, n.service, n.source, n.endpoint, IpProto::udp);
  check_translation(n, flow, false, true, 10, 100, ChecksumMode::zero);
}

TEST(IcmpTranslate, puts_the_tag_of_the_other_side_on) {
  const Net n = net(true);
  const FlowPair flow = flow_pair(n.client, n.service, n.source, n.endpoint);
  TestFrame frame{error(n.router, n.source.address, quote(n.source, n.endpoint, true, 50, 28)).vlan(3).build()};
  const auto info = wire::parse_packet(frame.frame().bytes());
  const auto quoted = parse_quoted(frame.frame().bytes(), *info);
  ASSERT_TRUE(quoted.ok());
  Link link = kLink;
  ASSERT_EQ(translate_error(frame.frame(), *info, *quoted, flow.reverse, flow.forward, link), DropReason::none);
  EXPECT_FALSE(wire::parse_packet(frame.frame().bytes())->tagged());
  EXPECT_TRUE(test::problems_of(frame.content()).empty()) << test::dump(frame.content());
}

TEST(IcmpQuoted, refuses_what_cannot_be_read) {
  const Net n = net(true);
  const auto reason = [](const Bytes& frame) {
    const auto info = wire::parse_packet(frame);
    EXPECT_TRUE(info.ok());
    return parse_quoted(frame, *info).reason();
  };
  const auto with = [&](Bytes quoted) { return error(n.router, n.source.address, std::move(quoted)).build(); };
  const Bytes good = quote(n.source, n.endpoint, true, 0, 28);
  EXPECT_EQ(reason(with(good)), DropReason::none);
  EXPECT_EQ(reason(with(Bytes{good.begin(), good.begin() + 27})), DropReason::icmp_malformed);
  EXPECT_EQ(reason(with({})), DropReason::icmp_malformed);
  Bytes bad = good;
  bad[0] = std::byte{0x65};
  EXPECT_EQ(reason(with(bad)), DropReason::icmp_malformed);
  bad = good;
  bad[0] = std::byte{0x48};  // 32 octets of header, 28 quoted
  EXPECT_EQ(reason(with(bad)), DropReason::icmp_malformed);
  bad = good;
  bad[9] = std::byte{1};
  EXPECT_EQ(reason(with(bad)), DropReason::unsupported_proto);
  bad = good;
  bad[7] = std::byte{1};
  EXPECT_EQ(reason(with(bad)), DropReason::fragment);
  const Net six = net(false);
  EXPECT_EQ(reason(error(six.router, six.source.address, Bytes(47, std::byte{0x60})).build()),
            DropReason::unsupported_proto);
}

TEST(IcmpQuoted, counts_octets_behind_the_quoted_length_as_not_quoted) {
  const Net n = net(true);
  Bytes quoted = quote(n.source, n.endpoint, false, 0, 28);
  quoted.resize(100);  // RFC 4884 pads with zeros
  const Bytes frame = error(n.router, n.source.address, quoted).build();
  EXPECT_EQ(parse_quoted(frame, *wire::parse_packet(frame))->l4_octets, 8);
}

PacketBuilder big(bool v4, std::size_t payload) {
  const Net n = net(v4);
  return PacketBuilder{}.from_to(n.client.address, n.service.address).tcp(40000, 80, "PA").payload_octets(payload);
}

TEST(IcmpTooBig, answers_with_mtu_and_as_much_of_the_packet_as_fits) {
  for (const bool v4 : {true, false})
    for (const std::size_t payload : {200u, 1460u, 8000u})
      for (const std::uint16_t headroom : std::array<std::uint16_t, 3>{0, 20, 128}) {
        SCOPED_TRACE(testing::Message() << "v4 " << v4 << " payload " << payload << " headroom " << headroom);
        const Net n = net(v4);
        const PacketBuilder request = big(v4, payload).vlan(6).padding(3);
        TestFrame frame{request.build(), headroom};
        const auto info = wire::parse_packet(frame.frame().bytes());
        ASSERT_EQ(make_too_big(frame.frame(), *info, n.service.address, 1280), DropReason::none);
        const std::size_t headers = v4 ? 28 : 48, limit = v4 ? 576 : 1280;
        PacketBuilder expected;
        expected.eth("02:00:00:00:00:02", "02:00:00:00:00:01").vlan(6).from_to(n.service.address, n.client.address);
        expected.icmp(v4 ? 3 : 2, v4 ? 4 : 0, 1280).payload(request.quote(limit - headers));
        Bytes want = expected.build();
        // Two fields that the builder fills differently: identification 0, flow label 0, and their checksum.
        const auto got = frame.content();
        ASSERT_EQ(got.size(), want.size());
        EXPECT_TRUE(test::problems_of(got).empty()) << test::dump(got);
        const std::size_t body = 18 + (v4 ? 20 : 40);
        EXPECT_TRUE(
            std::equal(want.begin() + static_cast<long>(body), want.end(), got.begin() + static_cast<long>(body)));
        const auto answer = wire::parse_packet(got);
        ASSERT_TRUE(answer.ok());
        EXPECT_EQ(answer->kind, wire::PacketKind::icmp_error);
        EXPECT_EQ(answer->src, n.service.address);
        EXPECT_EQ(answer->dst, n.client.address);
        EXPECT_EQ(answer->vlan_tci, 6);
        EXPECT_LE(answer->ip_octets, limit);
        const auto quoted = parse_quoted(got, *answer);
        ASSERT_TRUE(quoted.ok());
        EXPECT_EQ(quoted->src, n.client.address);
        EXPECT_EQ(quoted->src_port, n.client.port);
      }
}

TEST(IcmpTooBig, leaves_a_frame_alone_that_has_no_room) {
  // An octet short on either side: a quote that fills the buffer.
  const Bytes before = big(true, 100).build();
  TestFrame frame{before, 27, 27};
  const auto info = wire::parse_packet(frame.frame().bytes());
  EXPECT_EQ(make_too_big(frame.frame(), *info, net(true).service.address, 60), DropReason::no_headroom);
  EXPECT_EQ(frame.content(), before);
}

TEST(IcmpTooBig, never_answers_an_error_or_a_group) {
  const auto refused = [](const PacketBuilder& builder) {
    const Bytes before = builder.build();
    TestFrame frame{before};
    const auto info = wire::parse_packet(before);
    EXPECT_TRUE(info.ok());
    EXPECT_EQ(make_too_big(frame.frame(), *info, test::ip("10.96.0.10"), 1280), DropReason::too_big);
    EXPECT_EQ(frame.content(), before);
  };
  const Net n = net(true);
  refused(error(n.router, n.source.address, quote(n.source, n.endpoint, true, 50, 28)));
  refused(big(true, 100).ipv4("0.0.0.0", "10.96.0.10"));
  refused(big(true, 100).ipv4("224.0.0.5", "10.96.0.10"));
  refused(big(true, 100).ipv4("255.255.255.255", "10.96.0.10"));
  refused(big(true, 100).ipv4("127.0.0.1", "10.96.0.10"));
  refused(big(true, 100).ipv4("10.1.0.2", "224.0.0.5"));
  refused(big(true, 100).eth("02:00:00:00:00:01", "ff:ff:ff:ff:ff:ff"));
  refused(big(true, 100).eth("01:00:00:00:00:01", "02:00:00:00:00:02"));
}

TEST(Echo, answers_with_the_same_data_from_the_address_asked) {
  for (const bool v4 : {true, false}) {
    const Net n = net(v4);
    for (const std::size_t payload : {0u, 1u, 56u, 1400u}) {
      const auto request = PacketBuilder{}.from_to(n.client.address, n.service.address).ttl(7);
      const Bytes data = PacketBuilder{request}.echo_request(0x1234, 7).payload_octets(payload).vlan(9).build();
      TestFrame frame{data};
      ASSERT_EQ(make_echo_reply(frame.frame(), *wire::parse_packet(data)), DropReason::none);
      PacketBuilder expected;
      expected.eth("02:00:00:00:00:02", "02:00:00:00:00:01").vlan(9).from_to(n.service.address, n.client.address);
      expected.icmp(v4 ? 0 : 129, 0, 0x12340007).payload_octets(payload);
      EXPECT_EQ(frame.content(), expected.build()) << test::dump(frame.content()) << test::dump(expected.build());
    }
  }
}

TEST(Echo, a_reply_of_nothing_but_zeros_has_the_checksum_that_receivers_expect) {
  for (const std::size_t payload : {0u, 1u, 56u}) {
    const Bytes request =
        PacketBuilder{}.ipv4("10.1.0.2", "10.96.0.10").echo_request(0, 0).payload(Bytes(payload)).build();
    TestFrame frame{request};
    ASSERT_EQ(make_echo_reply(frame.frame(), *wire::parse_packet(request)), DropReason::none);
    EXPECT_EQ(test::plain_sum(frame.frame().bytes().subspan(34)), 0xffff) << test::dump(frame.content());
  }
}

TEST(Echo, does_not_answer_a_group_or_a_nobody) {
  for (const char* src : {"0.0.0.0", "224.0.0.1", "255.255.255.255"}) {
    const Bytes before = PacketBuilder{}.ipv4(src, "10.96.0.10").echo_request(1, 1).build();
    TestFrame frame{before};
    EXPECT_EQ(make_echo_reply(frame.frame(), *wire::parse_packet(before)), DropReason::unsupported_proto);
    EXPECT_EQ(frame.content(), before);
  }
}

TEST(Verify, says_right_for_right_and_wrong_for_any_single_wrong_bit) {
  const Net four = net(true), six = net(false);
  const Bytes frames[] = {
      big(true, 31).build(),
      big(false, 31).vlan(4).build(),
      PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).payload("x").build(),
      PacketBuilder{}.ipv6("fd00::1", "fd00::2").udp(1, 2).payload("x").build(),
      PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").echo_request(1, 2).payload("xyz").build(),
      error(six.router, six.source.address, quote(six.source, six.endpoint, true, 9, 60)).build(),
      error(four.router, four.source.address, quote(four.source, four.endpoint, true, 9, 30)).build(),
      PacketBuilder{}.ipv6("fd00::1", "ff02::1:ff00:2").neighbor_solicitation("fd00::2", "02:00:00:00:00:01").build(),
  };
  for (const Bytes& frame : frames) {
    const auto info = wire::parse_packet(frame);
    ASSERT_TRUE(info.ok()) << test::dump(frame);
    EXPECT_TRUE(checksums_valid(frame, *info)) << test::dump(frame);
    for (std::size_t bit = static_cast<std::size_t>(info->l4_offset) * 8; bit < frame.size() * 8; ++bit) {
      Bytes damaged = frame;
      damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      const auto seen = wire::parse_packet(damaged);
      if (!seen) continue;
      EXPECT_FALSE(checksums_valid(damaged, *seen)) << "bit " << bit << "\n" << test::dump(damaged);
    }
  }
}

TEST(Verify, knows_which_datagrams_may_have_no_checksum) {
  const auto valid = [](const PacketBuilder& builder) {
    const Bytes frame = builder.build();
    return checksums_valid(frame, *wire::parse_packet(frame));
  };
  EXPECT_TRUE(valid(PacketBuilder{}.ipv4("10.0.0.1", "10.0.0.2").udp(1, 2).checksum(ChecksumMode::zero)));
  EXPECT_FALSE(valid(PacketBuilder{}.ipv6("fd00::1", "fd00::2").udp(1, 2).checksum(ChecksumMode::zero)));
  EXPECT_FALSE(valid(big(true, 5).ip_checksum(ChecksumMode::bad)));
  EXPECT_FALSE(valid(big(true, 5).checksum(ChecksumMode::partial)));
  EXPECT_TRUE(valid(PacketBuilder{}.arp(1, "02:00:00:00:00:01", "10.0.0.1", "10.0.0.2")));
}

TEST(Verify, tells_partial_from_full) {
  for (const bool v4 : {true, false}) {
    const Bytes partial = big(v4, 77).checksum(ChecksumMode::partial).build(), full = big(v4, 77).build();
    EXPECT_TRUE(has_partial_checksum(partial, *wire::parse_packet(partial)));
    EXPECT_FALSE(has_partial_checksum(full, *wire::parse_packet(full)));
  }
}

}  // namespace
}  // namespace penstock::l4
