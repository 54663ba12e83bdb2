// io_bench: trains found and given one head (train.h), large segments cut (large.h); frames as a proxied body has them.
//
// Counter `per_frame` is CPU time by frames of 1,460 octets of payload.
#include <benchmark/benchmark.h>

#include <vector>

#include "dataplane/io/large.h"
#include "dataplane/io/train.h"
#include "tests/support/packet_builder.h"

namespace penstock::io {
namespace {

using test::Bytes;
using test::ChecksumMode;
using test::PacketBuilder;

constexpr std::size_t kPayload = 1460;
constexpr std::size_t kMtu = 1500;
constexpr std::size_t kChunk = 1984;

Bytes segment(std::size_t at, std::size_t octets, bool whole_checksum) {
  PacketBuilder b;
  b.ipv4("10.1.0.2", "10.96.0.10").tcp(40000, 80, "A").seq(static_cast<std::uint32_t>(at)).ack(77).window(501);
  b.payload(Bytes(octets, std::byte{'x'}));
  if (!whole_checksum) b.checksum(ChecksumMode::partial);
  return b.build();
}

void per_frame(benchmark::State& state, std::size_t frames) {
  state.counters["per_frame"] = benchmark::Counter(
      static_cast<double>(frames), benchmark::Counter::kIsIterationInvariantRate | benchmark::Counter::kInvert);
}

/// So many full segments in a row are one train, with one head.
void train(benchmark::State& state) {
  const auto count = static_cast<std::size_t>(state.range(0));
  std::vector<Bytes> packets;
  std::vector<Frame> frames;
  for (std::size_t i = 0; i < count; ++i) packets.push_back(segment(i * kPayload, kPayload, true));
  for (Bytes& p : packets)
    frames.emplace_back(RawFrame{p.data(), p.data(), static_cast<std::uint16_t>(p.size()), 0, 0, 0});
  std::array<std::byte, kTrainHeaderOctetsMax> headers{};
  for (auto _ : state) {
    const Train found = find_train(frames, 1500);
    if (found.frames != count) {
      state.SkipWithError("not one train");
      break;
    }
    if (count > 1) write_train_headers(found, frames, headers);
    benchmark::ClobberMemory();
  }
  for (Frame& frame : frames) static_cast<void>(std::move(frame).release());
  per_frame(state, count);
}
BENCHMARK(train)->Arg(1)->Arg(12)->Arg(44);

/// So many octets arrive as one segment, in chunks, and leave as frames.
void cut(benchmark::State& state) {
  const Bytes whole = segment(0, static_cast<std::size_t>(state.range(0)), false);
  std::vector<ByteView> chunks;
  for (std::size_t at = 0; at < whole.size(); at += kChunk)
    chunks.push_back(ByteView{whole}.subspan(at, std::min(kChunk, whole.size() - at)));
  std::vector<Bytes> pieces(kChunksMax, Bytes(kMtu + 18));
  std::size_t count = 0;
  for (auto _ : state) {
    LargeSegment large;
    if (!large.read(chunks, kMtu)) return state.SkipWithError("not cut");
    count = large.pieces();
    for (std::size_t i = 0; i < count; ++i) benchmark::DoNotOptimize(large.write_next(pieces[i]));
    benchmark::ClobberMemory();
  }
  per_frame(state, count);
}
BENCHMARK(cut)->Arg(16 << 10)->Arg(60 << 10);

}  // namespace
}  // namespace penstock::io
