#include "tests/sim/pcap_worker.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <filesystem>

#include "tests/sim/world.h"

namespace penstock::sim {
namespace {

TEST(PcapWorker, a_capture_of_clients_comes_out_translated) {
  const auto directory = std::filesystem::temp_directory_path() / ("pcap_worker_test." + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  const std::string input = directory / "in.pcap", output = directory / "out.pcap";
  {
    pcap_t* const dead = pcap_open_dead(DLT_EN10MB, 65535);
    pcap_dumper_t* const out = pcap_dump_open(dead, input.c_str());
    for (std::uint16_t i = 0; i < 100; ++i) {
      const test::Bytes frame = i % 10 == 9 ? test::PacketBuilder{}.ipv4("1.2.3.4", "5.6.7.8").udp(1, 2).build()
                                            : from_client({}, static_cast<std::uint16_t>(40000 + i), "S").build();
      pcap_pkthdr header{};
      header.ts.tv_sec = 1000 + i;
      header.caplen = header.len = static_cast<bpf_u_int32>(frame.size());
      pcap_dump(reinterpret_cast<u_char*>(out), &header, reinterpret_cast<const u_char*>(frame.data()));
    }
    pcap_dump_close(out);
    pcap_close(dead);
  }
  World world;
  world.listeners = {make_listener({}, 2)};
  world.publish();
  const auto block = std::make_unique<control::WorkerBlock>();
  const auto report =
      run_pcap(input, output, kDownstream, std::make_unique<worker::WorkerView>(*world.publisher->newest()), *block);
  ASSERT_TRUE(report.ok());
  EXPECT_EQ(report->received, 100u);
  EXPECT_EQ(report->transmitted, 90u);
  EXPECT_EQ(report->dropped, 10u);

  char error[PCAP_ERRBUF_SIZE];
  pcap_t* const back = pcap_open_offline(output.c_str(), error);
  ASSERT_NE(back, nullptr);
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  int frames = 0;
  for (; pcap_next_ex(back, &header, &bytes) == 1; ++frames) {
    const ByteView frame{reinterpret_cast<const std::byte*>(bytes), header->caplen};
    EXPECT_TRUE(test::problems_of(frame).empty()) << test::dump(frame);
    const auto info = wire::parse_packet(frame);
    ASSERT_TRUE(info.ok());
    EXPECT_EQ(info->src, node_address(IpFamily::v4));
  }
  pcap_close(back);
  EXPECT_EQ(frames, 90);
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace penstock::sim
