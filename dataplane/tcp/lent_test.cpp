// Payload that stays in a received buffer: queued by reference, sent from where it lies, given back when acknowledged.
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "dataplane/tcp/dialogue_test_support.h"

namespace penstock::tcp::test {
namespace {

/// A device buffer of the test; `handle` tells which one comes back.
struct Buffer {
  std::array<std::byte, 4096> memory{};
  explicit Buffer(const std::string& text) { std::memcpy(memory.data() + 64 + 54, text.data(), text.size()); }
  RawFrame raw() { return {.data = memory.data() + 64, .handle = this, .octets = 3000, .headroom = 64}; }
};

std::string text_of(ByteView bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

class LentTest : public ::testing::Test {
 protected:
  LentTest() { dialogue.establish({.mss = 1460, .sack = true}); }
  /// Lends a buffer whose payload is `text`, queues all of it, and keeps no reference.
  Index lend(Buffer& buffer, std::size_t octets) {
    const Index block = pools.lend(buffer.raw());
    EXPECT_TRUE(engine.write_block(ep, block, 54, static_cast<std::uint16_t>(octets)));
    pools.release_block(block);
    return block;
  }
  void* returned() {
    RawFrame raw;
    return pools.take_returned(raw) ? raw.handle : nullptr;
  }
  Dialogue dialogue;
  Engine& engine = dialogue.engine;
  Pools& pools = dialogue.pools;
  Endpoint& ep = dialogue.ep;
};

TEST_F(LentTest, payload_is_sent_from_the_lent_buffer_and_comes_back_when_acknowledged) {
  Buffer buffer{"hello"};
  const Index block = lend(buffer, 5);
  EXPECT_EQ(dialogue.out(), "PA 1+5 ack 1");
  EXPECT_EQ(dialogue.last.payload.data(), buffer.memory.data() + 64 + 54);
  EXPECT_EQ(dialogue.last.block, block);
  EXPECT_EQ(dialogue.last.block_offset, 54);
  EXPECT_FALSE(dialogue.last.retransmission);
  EXPECT_EQ(pools.references(block), 1u);
  EXPECT_EQ(pools.lent_in_use(), 1u);
  EXPECT_EQ(returned(), nullptr);
  dialogue.in({.ack = 6});
  EXPECT_EQ(pools.lent_in_use(), 0u);
  EXPECT_EQ(returned(), &buffer);
  EXPECT_EQ(returned(), nullptr);
}

TEST_F(LentTest, a_retransmission_says_so_and_reads_the_lent_buffer_again) {
  Buffer buffer{"hello"};
  lend(buffer, 5);
  EXPECT_EQ(dialogue.out(), "PA 1+5 ack 1");
  EXPECT_EQ(dialogue.wait(250).size(), 1u);
  EXPECT_TRUE(dialogue.last.retransmission);
  EXPECT_EQ(text_of(dialogue.last.payload), "hello");
  EXPECT_EQ(engine.info(ep).retransmitted_segments, 1u);
}

TEST_F(LentTest, a_piece_above_the_segment_size_is_several_entries_that_share_the_buffer) {
  Buffer buffer{std::string(2000, 'x')};
  const Index block = lend(buffer, 2000);
  EXPECT_EQ(pools.references(block), 2u);
  EXPECT_EQ(dialogue.all(), "A 1+1460 ack 1; PA 1461+540 ack 1");
  dialogue.in({.ack = 1461});
  EXPECT_EQ(pools.references(block), 1u);
  EXPECT_EQ(returned(), nullptr);
  dialogue.in({.ack = 2001});
  EXPECT_EQ(returned(), &buffer);
}

/// A device that cuts is behind the endpoint; its MTU makes 1460 octets of payload.
class CutTest : public LentTest {
 protected:
  CutTest() { ep.device_cuts = true; }
  Buffer buffer{std::string(1900, 'x')};
};

TEST_F(CutTest, a_piece_above_the_segment_size_leaves_whole) {
  lend(buffer, 1900);
  EXPECT_EQ(dialogue.all(), "PA 1+1900 ack 1");
  dialogue.in({.ack = 1461});
  EXPECT_EQ(returned(), nullptr);
  dialogue.in({.ack = 1901});
  EXPECT_EQ(returned(), &buffer);
}

TEST_F(CutTest, not_to_a_peer_that_wants_smaller_segments) {
  Dialogue small;
  small.establish({.mss = 1400, .sack = true});
  small.ep.device_cuts = true;
  const Index block = small.pools.lend(buffer.raw());
  ASSERT_TRUE(small.engine.write_block(small.ep, block, 54, 1900));
  small.pools.release_block(block);
  EXPECT_EQ(small.all(), "A 1+1400 ack 1; PA 1401+500 ack 1");
}

TEST_F(CutTest, a_window_that_takes_a_part_gets_segments) {
  dialogue.in({.window = 1500});
  lend(buffer, 1900);
  EXPECT_EQ(dialogue.all(), "A 1+1460 ack 1");
  dialogue.in({.ack = 1461, .window = 1500});
  EXPECT_EQ(dialogue.all(), "PA 1461+440 ack 1");
}

TEST_F(CutTest, a_congestion_window_that_takes_a_part_gets_segments) {
  dialogue.write(ep.congestion.cwnd() - 1460);
  dialogue.all();
  lend(buffer, 1900);
  const std::string sent = dialogue.all();
  EXPECT_EQ(dialogue.last.payload.size(), 1460u) << sent;
  EXPECT_TRUE(ep.queue.first_unsent() != kNoIndex);
}

TEST_F(CutTest, is_repeated_in_segments) {
  lend(buffer, 1900);
  EXPECT_EQ(dialogue.all(), "PA 1+1900 ack 1");
  const auto lines = dialogue.wait(3000);
  ASSERT_GE(lines.size(), 2u);
  for (const std::string& line : lines)
    EXPECT_TRUE(line.find(" 1+1460 ") != std::string::npos || line.find(" 441+1460 ") != std::string::npos ||
                line.find(" 1+440 ") != std::string::npos)
        << line;
  dialogue.in({.ack = 1901});
  EXPECT_EQ(returned(), &buffer);
  EXPECT_EQ(audit(ep, pools), "");
}

TEST_F(CutTest, a_smaller_path_ends_it) {
  lend(buffer, 1900);
  EXPECT_EQ(dialogue.all(), "PA 1+1900 ack 1");
  EXPECT_TRUE(engine.path_too_big(ep, 1400, ep.queue.una()));
  EXPECT_EQ(dialogue.all(), "A 1+1360 ack 1; PA 1361+540 ack 1");
  Buffer more{std::string(1900, 'y')};
  lend(more, 1900);
  EXPECT_EQ(dialogue.all(), "A 1901+1360 ack 1; PA 3261+540 ack 1");
  dialogue.in({.ack = 3801});
}

TEST_F(CutTest, pieces_above_the_segment_size_are_received_in_any_order) {
  dialogue.in({.seq = 1901, .data = std::string(1900, 'b')});
  EXPECT_EQ(dialogue.out().substr(0, 15), "A 1+0 ack 1 sac");
  dialogue.in({.seq = 1, .data = std::string(1900, 'a')});
  EXPECT_EQ(dialogue.received, std::string(1900, 'a') + std::string(1900, 'b'));
}

TEST_F(LentTest, neighbouring_parts_of_one_block_join_while_they_wait) {
  Buffer buffer{"headerbody"};
  const Index block = pools.lend(buffer.raw());
  ASSERT_TRUE(engine.write_block(ep, block, 54, 6));
  ASSERT_TRUE(engine.write_block(ep, block, 60, 4));
  EXPECT_EQ(pools.references(block), 2u);  // one entry's and ours
  pools.release_block(block);
  EXPECT_EQ(dialogue.all(), "PA 1+10 ack 1");
  EXPECT_EQ(text_of(dialogue.last.payload), "headerbody");
}

TEST_F(LentTest, copied_octets_behind_a_lent_piece_go_into_a_block_of_their_own) {
  Buffer buffer{"lent"};
  lend(buffer, 4);
  dialogue.write("copied");
  EXPECT_EQ(dialogue.out(), "A 1+4 ack 1");
  EXPECT_EQ(dialogue.out(), "PA 5+6 ack 1");
  EXPECT_EQ(text_of(dialogue.last.payload), "copied");
}

TEST_F(LentTest, unlend_copies_the_oldest_and_gives_their_buffers_back) {
  Buffer first{"first"}, second{"second"}, third{"third"};
  lend(first, 5);
  EXPECT_EQ(dialogue.out(), "PA 1+5 ack 1");
  lend(second, 6);
  lend(third, 5);
  EXPECT_EQ(engine.unlend(ep, 6), 11u);
  EXPECT_EQ(returned(), &second);
  EXPECT_EQ(returned(), &first);
  EXPECT_EQ(pools.lent_in_use(), 1u);
  first.memory.fill(std::byte{0});
  second.memory.fill(std::byte{0});
  EXPECT_EQ(dialogue.all(), "A 6+6 ack 1; PA 12+5 ack 1");
  EXPECT_EQ(text_of(pools.payload_of(pools.entries[ep.queue.head()])), "first");
  EXPECT_EQ(engine.unlend(ep, 1000), 5u);
  EXPECT_EQ(returned(), &third);
}

TEST_F(LentTest, a_fin_whose_payload_is_acknowledged_holds_no_buffer) {
  Buffer buffer{"hello"};
  lend(buffer, 5);
  engine.shutdown(ep);
  EXPECT_EQ(dialogue.out(), "FPA 1+5 ack 1");
  dialogue.in({.ack = 6});
  EXPECT_EQ(returned(), &buffer);
  EXPECT_EQ(engine.unlend(ep, 1000), 0u);
  dialogue.in({.ack = 7});
  EXPECT_EQ(engine.outstanding(ep), 0u);
}

TEST_F(LentTest, write_block_takes_all_or_nothing) {
  Buffer buffer{std::string(2000, 'x')};
  engine.set_send_budget(ep, 1999);
  const Index block = pools.lend(buffer.raw());
  EXPECT_FALSE(engine.write_block(ep, block, 54, 2000));
  EXPECT_EQ(engine.outstanding(ep), 0u);
  EXPECT_EQ(pools.references(block), 1u);
  EXPECT_TRUE(engine.write_block(ep, block, 54, 1999));
  EXPECT_EQ(engine.outstanding(ep), 1999u);
  pools.release_block(block);
}

TEST_F(LentTest, a_reset_gives_every_buffer_back) {
  Buffer buffer{"hello"};
  lend(buffer, 5);
  dialogue.in({.flags = "R"});
  EXPECT_EQ(dialogue.state(), State::closed);
  EXPECT_EQ(returned(), &buffer);
}

TEST_F(LentTest, a_piece_that_arrived_out_of_order_can_be_passed_on_without_a_copy) {
  Pools& shared = pools;
  struct Relay final : Delivery {
    Engine& engine;
    Endpoint& to;
    explicit Relay(Engine& e, Endpoint& t) : engine{e}, to{t} {}
    void deliver(const Piece& piece) override {
      const auto octets = static_cast<std::uint16_t>(piece.bytes.size());
      if (piece.block != kNoIndex)
        EXPECT_TRUE(engine.write_block(to, piece.block, piece.offset, octets));
      else
        EXPECT_EQ(engine.write(to, piece.bytes), octets);
    }
  };
  const std::string first = "first", second = "second";
  SegmentIn late;
  late.seq = SeqNum{Dialogue::kPeerIss + 1};
  late.ack = SeqNum{dialogue.iss + 1};
  late.flags = kTcpAck;
  SegmentIn early = late;
  late.payload = std::as_bytes(std::span{first});
  late.window = early.window = 65535;
  early.seq += SeqSpan{5};
  early.payload = std::as_bytes(std::span{second});
  Relay relay{engine, ep};
  // The endpoint echoes to itself, which is allowed here only because nothing else of it is touched meanwhile.
  static_cast<void>(engine.receive(ep, early, dialogue.now, relay));
  EXPECT_EQ(dialogue.out(), "A 1+0 ack 1 sack 6-12");
  static_cast<void>(engine.receive(ep, late, dialogue.now, relay));
  EXPECT_EQ(shared.blocks.in_use(), 2u);
  EXPECT_EQ(dialogue.out(), "A 1+5 ack 12");
  EXPECT_EQ(text_of(dialogue.last.payload), "first");
  EXPECT_EQ(dialogue.out(), "PA 6+6 ack 12");
  EXPECT_EQ(text_of(dialogue.last.payload), "second");
  engine.consume(ep, 11);
}

TEST(Pools, lent_names_are_reused_only_after_the_owner_took_the_buffer_back) {
  Pools pools{16, 4, 2048, 2};
  Buffer a{""}, b{""}, c{""};
  const Index first = pools.lend(a.raw());
  const Index second = pools.lend(b.raw());
  EXPECT_TRUE(Pools::is_lent(first));
  EXPECT_FALSE(Pools::is_lent(kNoIndex));
  EXPECT_EQ(pools.lend(c.raw()), kNoIndex);
  pools.release_block(first);
  EXPECT_EQ(pools.lent_in_use(), 1u);
  EXPECT_EQ(pools.lend(c.raw()), kNoIndex);
  RawFrame raw;
  ASSERT_TRUE(pools.take_returned(raw));
  EXPECT_EQ(raw.handle, &a);
  EXPECT_NE(pools.lend(c.raw()), kNoIndex);
  pools.release_block(second);
}

#ifndef __SANITIZE_ADDRESS__  // which touches shadow memory for all of it
std::size_t resident_pages() {
  std::ifstream statm{"/proc/self/statm"};
  std::size_t total = 0, resident = 0;
  statm >> total >> resident;
  return resident;
}

TEST(Pools, capacity_that_was_never_used_is_not_resident) {
  const std::size_t before = resident_pages();
  Pools pools{1'000'000, 200'000, 2048, 1'000'000};  // some 480 MB
  const Index block = pools.blocks.acquire();
  EXPECT_LT(resident_pages() - before, 256u);
  pools.release_block(block);
}
#endif

TEST(WantsTransmit, is_false_exactly_when_nothing_would_leave_or_be_armed) {
  Dialogue dialogue;
  dialogue.establish();
  EXPECT_FALSE(Engine::wants_transmit(dialogue.ep));
  dialogue.write("x");
  EXPECT_TRUE(Engine::wants_transmit(dialogue.ep));
  EXPECT_EQ(dialogue.all(), "PA 1+1 ack 1");
  EXPECT_FALSE(Engine::wants_transmit(dialogue.ep));
  dialogue.in({.data = "y", .ack = 2});
  EXPECT_FALSE(Engine::wants_transmit(dialogue.ep));  // a delayed acknowledgement waits for its deadline
  dialogue.in({.seq = 2, .data = "z", .ack = 2});
  EXPECT_TRUE(Engine::wants_transmit(dialogue.ep));
  EXPECT_EQ(dialogue.all(), "A 2+0 ack 3");
}

TEST(DelayedAck, one_that_is_owed_rides_on_data_that_is_written_before_transmission) {
  Dialogue dialogue;
  dialogue.establish();
  dialogue.in({.data = std::string(1460, 'a')});
  dialogue.in({.seq = 1461, .data = std::string(1460, 'b')});
  EXPECT_TRUE(dialogue.ep.acks.due());
  dialogue.write("answer");
  EXPECT_EQ(dialogue.all(), "PA 1+6 ack 2921");
}

TEST(ReceiveBudget, lowering_it_keeps_what_was_promised_and_raising_it_is_told_at_once) {
  Dialogue dialogue;
  dialogue.establish();
  const SeqNum promised = dialogue.ep.receive_window.edge();
  dialogue.engine.set_receive_budget(dialogue.ep, 0);
  dialogue.in({.data = std::string(1000, 'a')});
  dialogue.wait(100);
  EXPECT_EQ(dialogue.ep.receive_window.edge(), promised);
  EXPECT_EQ(dialogue.last.window, 65535 - 1000);
  dialogue.engine.set_receive_budget(dialogue.ep, 64 * 1024);
  EXPECT_EQ(dialogue.out(), "nothing");  // less than two segments would be won
  dialogue.in({.seq = 1001, .data = std::string(2000, 'b')});
  dialogue.wait(40);
  EXPECT_EQ(dialogue.last.window, 65535);
  EXPECT_EQ(dialogue.ep.last_ack, dialogue.ep.rcv_nxt);
}

}  // namespace
}  // namespace penstock::tcp::test
