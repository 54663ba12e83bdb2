#include "mgmt/daemon/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sstream>
#include <string>

#include "mgmt/daemon/backoff.h"
#include "mgmt/daemon/files.h"
#include "mgmt/daemon/saved_ids.h"

namespace penstock::daemon {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string end_of(Process& process) {
  pollfd ended{process.pidfd.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&ended, 1, 10'000), 1);
  return reap(process);
}

TEST(Process, an_exit_code_is_told_after_the_pidfd_became_readable) {
  auto process = spawn("/bin/sh", {"-c", "exit 3"});
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(end_of(*process), "exited with 3");
  EXPECT_FALSE(process->running());
}

TEST(Process, a_signal_is_told_by_its_number) {
  auto process = spawn("/bin/sleep", {"30"});
  ASSERT_TRUE(process.ok());
  send_signal(*process, SIGKILL);
  EXPECT_EQ(end_of(*process), "killed by signal 9");
}

TEST(Process, it_has_a_session_of_its_own) {
  auto process = spawn("/bin/sleep", {"30"});
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(::getsid(process->pid), process->pid);
  send_signal(*process, SIGKILL);
  (void)end_of(*process);
}

TEST(Process, it_inherits_no_descriptor_of_ours) {
  const int leaky = ::open("/dev/null", O_RDONLY);  // without O_CLOEXEC
  auto process = spawn("/bin/sh", {"-c", "test ! -e /proc/self/fd/" + std::to_string(leaky)});
  ASSERT_TRUE(process.ok());
  EXPECT_EQ(end_of(*process), "exited with 0");
  ::close(leaky);
}

TEST(Process, a_missing_program_is_a_problem_that_names_it) {
  const auto process = spawn("/nonexistent/dataplane", {});
  ASSERT_FALSE(process.ok());
  EXPECT_NE(process.error().text().find("/nonexistent/dataplane"), std::string::npos);
  EXPECT_EQ(find_dataplane("/nonexistent/dataplane"), "");
}

TEST(Process, an_adopted_process_is_watched_without_being_a_child) {
  auto child = spawn("/bin/sleep", {"30"});
  ASSERT_TRUE(child.ok());
  auto adopted = adopt_process(child->pid);
  ASSERT_TRUE(adopted.ok());
  send_signal(*adopted, SIGKILL);
  EXPECT_EQ(end_of(*child), "killed by signal 9");
  EXPECT_EQ(end_of(*adopted), "ended");
}

TEST(Backoff, it_grows_to_its_limit_and_starts_over_after_a_healthy_run) {
  Backoff backoff;
  std::vector<std::int64_t> waits;
  for (int i = 0; i < 9; ++i) waits.push_back(backoff.after(seconds{1}).count());
  EXPECT_EQ(waits, (std::vector<std::int64_t>{0, 500, 1000, 2000, 4000, 8000, 16'000, 30'000, 30'000}));
  EXPECT_EQ(backoff.after(seconds{60}).count(), 0);
  EXPECT_EQ(backoff.after(seconds{1}).count(), 500);
}

mode_t mode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & ALLPERMS;
}

TEST(Files, a_replaced_file_is_read_back_whole_and_nothing_stays_beside_it) {
  const std::string path = ::testing::TempDir() + "penstock-file-" + std::to_string(::getpid());
  ASSERT_TRUE(replace_file(path, "first\n", 0666).ok());
  EXPECT_EQ(mode_of(path), 0666u) << "whatever the umask";
  ASSERT_EQ(::mkfifo((path + ".new").c_str(), 0666), 0);
  ASSERT_TRUE(replace_file(path, "second\n", kSavedMode).ok());
  EXPECT_EQ(mode_of(path), kSavedMode);
  EXPECT_EQ(read_file(path), "second\n");
  EXPECT_NE(::access((path + ".new").c_str(), F_OK), 0);
  ::unlink(path.c_str());
  EXPECT_EQ(read_file(path), std::nullopt);
  EXPECT_FALSE(replace_file("/nonexistent/folder/file", "x", 0600).ok());
}

/// The id that the next name would get.
std::uint32_t next_id_of(const compile::Compiler& compiler) {
  std::istringstream saved{compiler.save_ids()};
  std::string title, version;
  std::uint32_t next{};
  saved >> title >> version >> next;
  return next;
}

TEST(SavedIds, damage_is_told_with_what_it_costs_and_is_gone_with_the_next_file) {
  const std::string path = ::testing::TempDir() + "penstock-ids-" + std::to_string(::getpid());
  compile::Compiler first, next;
  const std::string whole = first.save_ids();
  EXPECT_TRUE(restore_ids(path, next).empty()) << "no file, no problem";
  EXPECT_GE(next_id_of(next), compile::Compiler::kAnewIdMin) << "but what the dataplane knows is not known";
  const auto told = [&](const std::string& text, mode_t mode) {
    EXPECT_TRUE(replace_file(path, text, mode).ok());
    const Problems problems = restore_ids(path, next);
    return problems.empty() ? "" : problems.front().text();
  };
  for (const std::string& damaged : {std::string{}, whole.substr(0, whole.size() / 2), whole + "x", whole + whole})
    EXPECT_EQ(told(damaged, kSavedMode),
              path +
                  ": is damaged or cut short: the seal is missing or wrong (ids and the secret of cookies begin anew: "
                  "sessions whose cluster has no `key` choose an endpoint again, and counters may go on from what "
                  "another listener, route or endpoint counted)");
  EXPECT_NE(next.save_ids(), whole) << "nothing of it was used";
  const std::uint32_t anew = next_id_of(next);
  EXPECT_GE(anew, compile::Compiler::kAnewIdMin) << "no id of before comes again";
  (void)told({}, kSavedMode);
  EXPECT_NE(next_id_of(next), anew) << "nor one that was given after an earlier damage";
  for (const mode_t open : {mode_t{0644}, mode_t{0660}, mode_t{0602}})
    EXPECT_EQ(told(whole, open),
              path +
                  ": others than the daemon and its group had access, and the secret of cookies stands there (it is "
                  "replaced now; where the secret matters, end the dataplane too, so that a new one is drawn)");
  EXPECT_EQ(next.save_ids(), whole) << "but it is used";
  EXPECT_EQ(next_id_of(next), 1u);
  for (const mode_t closed : {kSavedMode, mode_t{0600}, mode_t{0400}}) EXPECT_EQ(told(whole, closed), "");
  ::unlink(path.c_str());
  ASSERT_EQ(::mkdir(path.c_str(), 0700), 0);
  EXPECT_EQ(restore_ids(path, next).size(), 1u) << "something else stands there";
  EXPECT_GE(next_id_of(next), compile::Compiler::kAnewIdMin);
  ::rmdir(path.c_str());
}

}  // namespace
}  // namespace penstock::daemon
