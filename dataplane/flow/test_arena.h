// test_arena.h - a flow table with memory of its own, for tests and benches of this folder and above.
#pragma once
#include <sys/mman.h>

#include <memory>

#include "dataplane/flow/flow_table.h"

namespace penstock::flow {

/// Anonymous memory for an arena, advised to huge pages.
class TestArena {
 public:
  explicit TestArena(std::uint32_t capacity) : octets_{control::flow_arena_octets(capacity)} {
    void* memory = mmap(nullptr, octets_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(memory != MAP_FAILED, "no memory for a test arena");
    madvise(memory, octets_, MADV_HUGEPAGE);
    memory_ = static_cast<std::byte*>(memory);
  }
  TestArena(const TestArena&) = delete;
  TestArena& operator=(const TestArena&) = delete;
  ~TestArena() { munmap(memory_, octets_); }
  [[nodiscard]] ByteSpan bytes() const { return {memory_, octets_}; }

 private:
  std::size_t octets_;
  std::byte* memory_;
};

/// The i-th of many distinct keys; IPv6 when `v6`.
[[nodiscard]] inline FlowKey test_key(std::uint32_t i, bool v6 = false, IpProto proto = IpProto::udp) {
  const auto octet = [i](int shift) { return static_cast<std::uint8_t>(i >> shift); };
  FlowKey k;
  k.src = IpAddress::v4(10, octet(24), octet(16), octet(8));
  k.dst = IpAddress::v4(10, 96, 0, 10);
  if (v6) {
    k.src.octets = {0xfd, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, octet(24), octet(16), octet(8), 1};
    k.dst.octets = {0xfd, 0x10, 0, 0x96, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10};
  }
  k.src_port = Be16::from_host(static_cast<std::uint16_t>(1024 + (i & 0xff)));
  k.dst_port = Be16::from_host(80);
  k.proto = proto;
  return k;
}

/// A reverse key that belongs to test_key(i): endpoint -> node.
[[nodiscard]] inline FlowKey test_reverse(std::uint32_t i, bool v6 = false, IpProto proto = IpProto::udp) {
  FlowKey k = reversed(test_key(i, v6, proto));
  k.src.octets[15] = 99;
  k.src_port = Be16::from_host(8080);
  return k;
}

}  // namespace penstock::flow
