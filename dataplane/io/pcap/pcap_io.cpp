#include "dataplane/io/pcap/pcap_io.h"

#include <pcap/pcap.h>

#include <algorithm>

namespace penstock::io {

Result<std::unique_ptr<PcapIo>> PcapIo::open(const std::string& input, const std::string& output, PortIndex port) {
  std::unique_ptr<PcapIo> io{new PcapIo};
  char text[PCAP_ERRBUF_SIZE]{};
  io->port_ = port;
  io->input_ = pcap_open_offline_with_tstamp_precision(input.c_str(), PCAP_TSTAMP_PRECISION_NANO, text);
  if (io->input_ == nullptr) return Problem{input, text, "give a pcap file"};
  if (pcap_datalink(io->input_) != DLT_EN10MB) return Problem{input, "is no Ethernet capture", ""};
  io->writer_ = pcap_open_dead_with_tstamp_precision(DLT_EN10MB, kFrameOctetsMax, PCAP_TSTAMP_PRECISION_NANO);
  io->output_ = pcap_dump_open(io->writer_, output.c_str());
  if (io->output_ == nullptr) return Problem{output, pcap_geterr(io->writer_), ""};
  for (std::size_t i = 0; i < kBuffers; ++i) {
    io->buffers_.push_back(std::make_unique<Buffer>(kHeadroom + kFrameOctetsMax));
    io->free_.push_back(io->buffers_.back().get());
  }
  return io;
}

PcapIo::~PcapIo() {
  if (output_ != nullptr) pcap_dump_close(output_);
  if (writer_ != nullptr) pcap_close(writer_);
  if (input_ != nullptr) pcap_close(input_);
}

std::size_t PcapIo::receive(std::span<Frame> into) {
  std::size_t n = 0;
  while (n < into.size() && !free_.empty() && !finished_) {
    pcap_pkthdr* header = nullptr;
    const u_char* bytes = nullptr;
    if (pcap_next_ex(input_, &header, &bytes) != 1) {
      finished_ = true;
      break;
    }
    time_ = Instant{std::chrono::seconds{header->ts.tv_sec} + std::chrono::nanoseconds{header->ts.tv_usec}};
    if (header->caplen > kFrameOctetsMax) {
      ++skipped_;
      continue;
    }
    Buffer* const buffer = free_.back();
    free_.pop_back();
    const auto octets = static_cast<std::uint16_t>(header->caplen);
    std::memcpy(buffer->data() + kHeadroom, bytes, octets);
    into[n++] = Frame{RawFrame{.data = buffer->data() + kHeadroom,
                               .handle = buffer,
                               .octets = octets,
                               .headroom = kHeadroom,
                               .tailroom = static_cast<std::uint16_t>(kFrameOctetsMax - octets),
                               .port = port_}};
    ++received_;
  }
  return n;
}

std::size_t PcapIo::transmit(PortIndex, std::span<Frame> frames) {
  const std::int64_t ns = time_.time_since_epoch().count();
  for (Frame& frame : frames) {
    pcap_pkthdr header{};
    header.ts.tv_sec = ns / 1'000'000'000;
    header.ts.tv_usec = ns % 1'000'000'000;  // nanoseconds, by the file's precision
    header.caplen = header.len = frame.octets();
    pcap_dump(reinterpret_cast<u_char*>(output_), &header, reinterpret_cast<const u_char*>(frame.bytes().data()));
    ++transmitted_;
  }
  drop(frames);
  return frames.size();
}

void PcapIo::drop(std::span<Frame> frames) {
  for (Frame& frame : frames) free_.push_back(static_cast<Buffer*>(std::move(frame).release().handle));
}

}  // namespace penstock::io
