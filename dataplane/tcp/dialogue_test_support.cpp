#include "dataplane/tcp/dialogue_test_support.h"

#include <gtest/gtest.h>

#include "dataplane/tcp/stateless.h"

namespace penstock::tcp::test {
namespace {

std::uint8_t flags_of(const std::string& letters) {
  std::uint8_t out = 0;
  for (const char letter : letters) {
    const std::size_t bit = std::string{"FSRPA"}.find(letter);
    EXPECT_NE(bit, std::string::npos) << letter;
    out = static_cast<std::uint8_t>(out | 1u << bit);
  }
  return out;
}

std::string letters_of(std::uint8_t flags) {
  std::string out;
  constexpr std::pair<std::uint8_t, char> kLetters[] = {
      {kTcpSyn, 'S'}, {kTcpFin, 'F'}, {kTcpRst, 'R'}, {kTcpPsh, 'P'}, {kTcpAck, 'A'}};
  for (const auto& [bit, letter] : kLetters)
    if ((flags & bit) != 0) out += letter;
  return out;
}

ByteView bytes_of(const std::string& text) { return std::as_bytes(std::span{text}); }

}  // namespace

Dialogue::Dialogue(const Limits& with, bool v4) : limits{with}, engine{limits, secrets, pools} {
  key.local = v4 ? IpAddress::v4(10, 0, 0, 1) : *IpAddress::parse("fd00::1");
  key.remote = v4 ? IpAddress::v4(10, 0, 0, 2) : *IpAddress::parse("fd00::2");
  key.local_port = Be16::from_host(80);
  key.remote_port = Be16::from_host(40000);
}

Dialogue::~Dialogue() {
  if (ep.state == State::time_wait) static_cast<void>(engine.take_time_wait(ep, now));
  static_cast<void>(engine.abort(ep));
  EXPECT_EQ(pools.entries.in_use(), 0u) << "entries leaked";
  EXPECT_EQ(pools.blocks.in_use(), 0u) << "blocks leaked";
  EXPECT_EQ(pools.lent_in_use(), 0u) << "lent buffers leaked";
}

void Dialogue::syn(const Offer& offer) {
  SegmentIn segment;
  segment.seq = SeqNum{kPeerIss};
  segment.flags = kTcpSyn;
  segment.window = offer.window;
  segment.options.has_mss = offer.mss != 0;
  segment.options.mss = offer.mss;
  segment.options.has_window_shift = offer.shift.has_value();
  segment.options.window_shift = offer.shift.value_or(0);
  segment.options.sack_permitted = offer.sack;
  segment.options.has_timestamps = offer.ts.has_value();
  segment.options.ts_value = offer.ts.value_or(0);
  ASSERT_TRUE(engine.accept(ep, key, 1500, segment, now));
  iss = ep.queue.una().value();
}

void Dialogue::connect() {
  ASSERT_TRUE(engine.connect(ep, key, 1500, now));
  iss = ep.queue.una().value();
}

void Dialogue::establish(const Offer& offer) {
  syn(offer);
  ASSERT_EQ(out(), "SA 0+0 ack 1");
  ASSERT_EQ(out(), "nothing");
  In last_of_three;
  if (offer.ts) last_of_three.ts = *offer.ts;
  last_of_three.window = offer.window;
  in(last_of_three);
  ASSERT_EQ(state(), State::established);
  ASSERT_EQ(out(), "nothing");
}

Events Dialogue::in(const In& segment) {
  SegmentIn arrived;
  arrived.seq = SeqNum{kPeerIss + segment.seq};
  arrived.flags = flags_of(segment.flags);
  if (arrived.is(kTcpAck)) arrived.ack = SeqNum{iss + segment.ack};
  arrived.window = segment.window;
  arrived.payload = bytes_of(segment.data);
  for (const auto& [start, end] : segment.sack)
    arrived.options.sack[arrived.options.sack_count++] = {SeqNum{iss + start}, SeqNum{iss + end}};
  arrived.options.has_timestamps = segment.ts.has_value();
  arrived.options.ts_value = segment.ts.value_or(0);
  arrived.options.ts_echo = segment.ts_echo;
  const Events events = engine.receive(ep, arrived, now, *this);
  note(events);
  return events;
}

void Dialogue::deliver(const Piece& piece) {
  for (const std::byte octet : piece.bytes) received += static_cast<char>(octet);
  if (auto_consume) consumed += static_cast<std::uint32_t>(piece.bytes.size());
}

std::string Dialogue::text_of(const SegmentOut& segment) {
  last = segment;
  const bool handshake = (segment.flags & kTcpSyn) != 0;
  last_options = parse_options(segment.options.view());
  std::string text = letters_of(segment.flags) + " " +
                     std::to_string(static_cast<std::int32_t>(segment.seq.value() - iss)) + "+" +
                     std::to_string(segment.payload.size());
  if ((segment.flags & kTcpAck) != 0) text += " ack " + std::to_string(segment.ack.value() - kPeerIss);
  if (handshake) return text;
  for (std::uint8_t i = 0; i < last_options.sack_count; ++i)
    text += (i == 0 ? " sack " : " ") + std::to_string(last_options.sack[i].start.value() - kPeerIss) + "-" +
            std::to_string(last_options.sack[i].end.value() - kPeerIss);
  return text;
}

std::string Dialogue::out() {
  if (consumed > 0) engine.consume(ep, std::exchange(consumed, 0));
  SegmentOut segment;
  const bool sent = engine.transmit(ep, now, segment);
  const std::string_view problem = sent ? std::string_view{} : audit(ep, pools);
  EXPECT_TRUE(problem.empty()) << problem;
  return sent ? text_of(segment) : "nothing";
}

std::string Dialogue::all() {
  std::string text;
  for (std::string one = out(); one != "nothing"; one = out()) text += (text.empty() ? "" : "; ") + one;
  return text.empty() ? "nothing" : text;
}

void Dialogue::write(const std::string& text) { EXPECT_EQ(engine.write(ep, bytes_of(text)), text.size()); }
void Dialogue::write(std::size_t octets, char fill) { write(std::string(octets, fill)); }

std::vector<std::string> Dialogue::wait(std::int64_t milliseconds) {
  std::vector<std::string> happenings;
  const Instant start = now, until = now + std::chrono::milliseconds{milliseconds};
  for (;;) {
    const Instant deadline = Engine::deadline(ep);
    if (deadline > until) break;
    now = std::max(now, deadline);
    note(engine.expire(ep, now));
    const auto at = std::chrono::duration_cast<std::chrono::milliseconds>(now - start).count();
    for (std::string one = out(); one != "nothing"; one = out())
      happenings.push_back("+" + std::to_string(at) + ": " + one);
  }
  now = until;
  return happenings;
}

}  // namespace penstock::tcp::test
