#include "mgmt/daemon/access_pump.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "mgmt/publish/fake_dataplane_test_support.h"

namespace penstock::daemon {
namespace {

using ::testing::HasSubstr;

class AccessPumpTest : public ::testing::Test {
 protected:
  AccessPumpTest() {
    client_ = publish::run_on(loop_, open(dataplane_.connect()));
    telemetry::AccessNames names;
    names.listeners = {{1, "shop"}};
    names_.add(std::move(names));
  }
  ~AccessPumpTest() override { std::filesystem::remove(path_); }
  publish::Task<publish::DataplaneClient::Pointer> open(control::Channel channel) {
    auto client = co_await publish::DataplaneClient::open(loop_, std::move(channel));
    co_return client.ok() ? *client : nullptr;
  }
  /// As a worker.
  void log(std::uint16_t status) {
    control::AccessRecord record{};
    record.listener_id = 1;
    record.status = status;
    ASSERT_TRUE(worker_.push(record));
    worker_.publish();
  }
  void open_file(config::AccessFormat format) {
    auto file = AccessFile::open({path_, format});
    ASSERT_TRUE(file.ok()) << file.error().text();
    file_ = std::make_unique<AccessFile>(std::move(*file));
  }
  std::string content() {
    std::ifstream file{path_};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

  boost::asio::io_context loop_;
  publish::FakeDataplane dataplane_{loop_};
  publish::DataplaneClient::Pointer client_;
  control::WorkerBlock& block_{dataplane_.segment.block(0)};
  SpscRing<control::AccessRecord> worker_{block_.access_control, block_.access};
  telemetry::AccessNameBook names_;
  std::unique_ptr<AccessFile> file_;
  telemetry::AccessReport counts_;
  std::string path_{testing::TempDir() + "access_pump_" + std::to_string(::getpid())};
};

TEST_F(AccessPumpTest, a_line_that_a_full_disk_cut_off_spoils_no_other) {
  open_file(config::AccessFormat::json);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{17, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
  const std::size_t lost = file_->write({"first line\n", "second line\n", "third line\n"});
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, ignored);
  EXPECT_EQ(lost, 2u);
  EXPECT_EQ(file_->write({"fourth line\n", "fifth line\n"}), 0u);
  EXPECT_EQ(content(), "first line\nsecond\nfourth line\nfifth line\n");
}

TEST_F(AccessPumpTest, a_line_that_was_cut_off_spoils_no_other_when_the_file_is_opened_anew) {
  std::ofstream{path_} << "first line\nsecond";
  for (const char* line : {"third line\n", "fourth line\n"}) {
    open_file(config::AccessFormat::json);
    EXPECT_EQ(file_->write({line}), 0u);
  }
  EXPECT_EQ(content(), "first line\nsecond\nthird line\nfourth line\n");
}

TEST_F(AccessPumpTest, an_empty_file_begins_with_its_first_line) {
  std::ofstream{path_} << "";
  open_file(config::AccessFormat::json);
  EXPECT_EQ(file_->write({"first line\n"}), 0u);
  EXPECT_EQ(content(), "first line\n");
}

TEST_F(AccessPumpTest, records_become_lines_of_the_file) {
  open_file(config::AccessFormat::text);
  AccessPump pump{loop_, client_, names_, file_, counts_};
  log(200);
  log(503);
  loop_.restart();
  loop_.run_for(3 * AccessPump::kInterval);
  EXPECT_THAT(content(), HasSubstr(" shop "));
  EXPECT_THAT(content(), HasSubstr("\" 503 "));
  EXPECT_EQ(counts_.lines, 2u);
  EXPECT_EQ(counts_.lines_lost, 0u);
}

TEST_F(AccessPumpTest, without_a_file_lines_are_counted_as_lost) {
  EXPECT_FALSE(AccessFile::open({"/nonexistent/penstock/access", config::AccessFormat::json}).ok());
  AccessPump pump{loop_, client_, names_, file_, counts_};
  log(200);
  pump.drain();
  EXPECT_EQ(counts_.lines_lost, 1u);
}

TEST_F(AccessPumpTest, a_pipe_that_nobody_reads_loses_lines_and_holds_nobody_up) {
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  const Fd reader{::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  ASSERT_TRUE(reader);
  open_file(config::AccessFormat::json);
  AccessPump pump{loop_, client_, names_, file_, counts_};
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 100; ++i) log(200);
    pump.drain();
  }
  EXPECT_GT(counts_.lines, 0u);
  EXPECT_GT(counts_.lines_lost, 0u);
  EXPECT_EQ(counts_.lines + counts_.lines_lost, 2000u);
}

}  // namespace
}  // namespace penstock::daemon
