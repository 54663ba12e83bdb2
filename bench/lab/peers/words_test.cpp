// words_test: command lines of the lab's programs are read, or refused with what is wrong.
#include "bench/lab/peers/words.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

namespace penstock::lab {
namespace {

/// As main() gets them; lives as long as the test.
class Line {
 public:
  explicit Line(std::vector<std::string> words) : words_{std::move(words)} {
    words_.insert(words_.begin(), "/somewhere/tool");
    for (std::string& word : words_) pointers_.push_back(word.data());
  }
  Words words() { return {static_cast<int>(pointers_.size()), pointers_.data(), "tool PORT"}; }

 private:
  std::vector<std::string> words_;
  std::vector<char*> pointers_;
};

TEST(Words, options_are_taken_wherever_they_stand) {
  Line line{{"hold", "--rate", "2.5", "10.0.0.1", "--syn", "80"}};
  Words words = line.words();
  EXPECT_EQ(words.option("--rate", 0.0), 2.5);
  EXPECT_EQ(words.option("--flows", 64U), 64U);
  EXPECT_TRUE(words.flag("--syn"));
  EXPECT_FALSE(words.flag("--syn"));
  EXPECT_FALSE(words.command("serve"));
  EXPECT_TRUE(words.command("hold"));
  EXPECT_EQ(words.place("ADDRESS"), "10.0.0.1");
  EXPECT_EQ(words.port(), 80);
  EXPECT_FALSE(words.more());
  words.end();
}

TEST(Words, routes_are_ports_and_places) {
  Line line{{"80=10.10.2.11:8080", "5201=10.10.2.12:1"}};
  const std::vector<Route> routes = line.words().routes();
  ASSERT_EQ(routes.size(), 2U);
  EXPECT_EQ(routes[0].listen_port, 80);
  EXPECT_EQ(ntohs(routes[0].to.sin_port), 8080);
  EXPECT_EQ(ntohl(routes[1].to.sin_addr.s_addr), 0x0a0a020cU);
}

TEST(WordsDeathTest, what_is_wrong_is_told_with_the_usage) {
  const auto refused = [](std::vector<std::string> words, auto use, const char* text) {
    Line line{std::move(words)};
    EXPECT_EXIT(use(line.words()), testing::ExitedWithCode(2), text);
  };
  refused(
      {}, [](Words words) { words.port(); }, "tool: PORT is missing\nusage: tool PORT");
  refused(
      {"65536"}, [](Words words) { words.port(); }, "65536: not a number that fits");
  refused(
      {"80x"}, [](Words words) { words.port(); }, "80x: not a number");
  refused(
      {"--fast"}, [](Words words) { words.port(); }, "--fast: no such option");
  refused(
      {"--rate"}, [](Words words) { words.option("--rate", 1); }, "--rate: a value is missing");
  refused(
      {"x"}, [](Words words) { words.end(); }, "x: not expected");
  for (const char* word : {"80", "80=1.2.3.4", "80:1.2.3.4=1"})
    refused(
        {word}, [](Words words) { words.routes(); }, "expected PORT=ADDRESS:PORT");
}

}  // namespace
}  // namespace penstock::lab
