#include "dataplane/io/pcap/pcap_io.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <filesystem>

namespace penstock::io {
namespace {

struct PcapFiles : testing::Test {
  PcapFiles() {
    std::filesystem::create_directories(directory);
    pcap_t* dead = pcap_open_dead(DLT_EN10MB, 65535);
    pcap_dumper_t* out = pcap_dump_open(dead, input.c_str());
    for (int i = 0; i < kFrames; ++i) {
      std::vector<u_char> frame(static_cast<std::size_t>(60 + i), static_cast<u_char>(i));
      pcap_pkthdr header{};
      header.ts.tv_sec = 100 + i;
      header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
      pcap_dump(reinterpret_cast<u_char*>(out), &header, frame.data());
    }
    pcap_dump_close(out);
    pcap_close(dead);
  }
  ~PcapFiles() override { std::filesystem::remove_all(directory); }
  static constexpr int kFrames = 50;
  std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("pcap_io_test." + std::to_string(getpid()));
  std::string input = directory / "in.pcap";
  std::string output = directory / "out.pcap";
};

TEST_F(PcapFiles, every_frame_of_the_input_arrives_and_what_is_sent_is_written) {
  {
    auto io = PcapIo::open(input, output, 3);
    ASSERT_TRUE(io.ok());
    std::array<Frame, kBurstMax> burst;
    while (const std::size_t n = io.value()->receive(burst)) {
      EXPECT_EQ(burst[0].port(), 3);
      const std::size_t half = n / 2;
      EXPECT_EQ(io.value()->transmit(3, {burst.data(), half}), half);
      io.value()->drop({burst.data() + half, n - half});
    }
    EXPECT_TRUE(io.value()->finished());
    EXPECT_EQ(io.value()->received(), static_cast<std::uint64_t>(kFrames));
    EXPECT_EQ(io.value()->transmitted(), 25u);
    EXPECT_EQ(io.value()->outstanding(), 0u);
  }
  auto again = PcapIo::open(output, input, 0);
  ASSERT_TRUE(again.ok());
  std::array<Frame, kBurstMax> burst;
  ASSERT_EQ(again.value()->receive(burst), 25u);
  EXPECT_EQ(burst[0].octets(), 60);
  again.value()->drop({burst.data(), 25});
}

TEST_F(PcapFiles, a_file_that_is_no_capture_is_a_problem) {
  EXPECT_FALSE(PcapIo::open("/dev/null", output, 0).ok());
  EXPECT_FALSE(PcapIo::open(input, directory / "missing" / "out.pcap", 0).ok());
}

}  // namespace
}  // namespace penstock::io
