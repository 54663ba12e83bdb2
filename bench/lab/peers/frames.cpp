#include "bench/lab/peers/frames.h"

#include <algorithm>

namespace penstock::lab {
namespace {

constexpr std::uint16_t kFirstPort = 10000;
constexpr std::uint32_t kSynSources = 0x0a320000;  // 10.50.0.0
constexpr std::uint8_t kUdp = 17, kTcp = 6;
constexpr std::size_t kTransport = 34;  // where TCP or UDP begins

void put16(FrameOctets& frame, std::size_t at, std::uint32_t value) {
  frame[at] = static_cast<std::uint8_t>(value >> 8);
  frame[at + 1] = static_cast<std::uint8_t>(value);
}
void put32(FrameOctets& frame, std::size_t at, std::uint32_t value) {
  put16(frame, at, value >> 16);
  put16(frame, at + 2, value & 0xffff);
}

/// Spreads n over 32 bits, so that neighbours share nothing (a bijection).
std::uint32_t scatter(std::uint32_t n) {
  n = (n ^ (n >> 16)) * 0x7feb352dU;
  n = (n ^ (n >> 15)) * 0x846ca68bU;
  return n ^ (n >> 16);
}

}  // namespace

Mac parse_mac(const std::string& text) {
  Mac mac{};
  for (std::size_t i = 0; i < mac.size(); ++i)
    mac[i] = static_cast<std::uint8_t>(std::stoi(text.substr(i * 3, 2), nullptr, 16));
  return mac;
}

std::uint16_t ones_sum(std::span<const std::uint8_t> octets, std::uint32_t start) {
  std::uint32_t sum = start;
  for (std::size_t i = 0; i < octets.size(); ++i) sum += static_cast<std::uint32_t>(octets[i]) << (i % 2 == 0 ? 8 : 0);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

namespace {

/// Ethernet and IP with its checksum; `octets` of TCP or UDP follow.
FrameOctets ip_frame(const Template& what, std::uint8_t protocol, std::uint32_t from, std::uint32_t octets) {
  FrameOctets frame{};
  std::copy(what.to_mac.begin(), what.to_mac.end(), frame.begin());
  std::copy(what.from_mac.begin(), what.from_mac.end(), frame.begin() + 6);
  put16(frame, 12, 0x0800);
  frame[14] = 0x45;
  put16(frame, 16, kTransport - 14 + octets);
  frame[22] = 64;
  frame[23] = protocol;
  put32(frame, 26, from);
  put32(frame, 30, what.to);
  put16(frame, 24, static_cast<std::uint16_t>(~ones_sum(std::span{frame}.subspan(14, 20))));
  return frame;
}

/// A SYN whose frame's padding belongs to the segment if `octets` says so.
FrameOctets syn(const Template& what, std::uint32_t from, std::uint32_t port, std::uint32_t seq, std::uint32_t octets) {
  FrameOctets frame = ip_frame(what, kTcp, from, octets);
  put16(frame, 34, port);
  put16(frame, 36, what.to_port);
  put32(frame, 38, seq);
  frame[46] = 5 << 4;
  frame[47] = 0x02;
  put16(frame, 48, 64240);
  const std::uint32_t pseudo = (from >> 16) + (from & 0xffff) + (what.to >> 16) + (what.to & 0xffff) + kTcp + octets;
  put16(frame, 50, static_cast<std::uint16_t>(~ones_sum(std::span{frame}.subspan(kTransport, octets), pseudo)));
  return frame;
}

}  // namespace

FrameOctets syn_frame(const Template& what, std::uint16_t port) {
  return syn(what, what.from, port, scatter(port), 20);
}

FrameOctets frame_of(const Template& what, std::uint32_t n) {
  constexpr std::size_t kPayload = kFrameOctets - kTransport;  // UDP or TCP with what follows
  const std::uint32_t mixed = scatter(n);
  if (what.syn) return syn(what, kSynSources | (mixed & 0xffff), 1024 + (mixed >> 16) % 60000, mixed, kPayload);
  FrameOctets frame = ip_frame(what, kUdp, what.from, kPayload);
  put16(frame, 34, kFirstPort + n % what.flows);
  put16(frame, 36, what.to_port);
  put16(frame, 38, kPayload);  // checksum 0: none (RFC 768)
  return frame;
}

}  // namespace penstock::lab
