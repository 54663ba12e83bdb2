#include "mgmt/cli/app.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "mgmt/cli/completion.h"

namespace penstock::cli {
namespace {

using ::testing::HasSubstr;

constexpr const char* kPage = "docs/guide/cli.md";  // ctest runs in the source directory

TEST(App, committed_guide_is_what_the_program_says) {
  Invocation invocation;
  const std::string page = cli_doc(*make_app(invocation));
  if (std::getenv("PENSTOCK_UPDATE_DOCS") != nullptr) std::ofstream{kPage} << page;
  std::ifstream file{kPage};
  ASSERT_TRUE(file) << kPage << " is missing; PENSTOCK_UPDATE_DOCS=1 writes it";
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), page) << "run with PENSTOCK_UPDATE_DOCS=1 to bring the page up to date";
}

TEST(App, global_options_may_stand_on_both_sides_of_the_command) {
  for (const char* line : {"--json --socket /s flows --limit 3", "flows --limit 3 --json --socket /s"}) {
    Invocation invocation;
    make_app(invocation)->parse(line);
    EXPECT_TRUE(invocation.context.json) << line;
    EXPECT_EQ(invocation.context.socket, "/s") << line;
    EXPECT_EQ(invocation.flows.limit, 3u) << line;
  }
}

TEST(App, connections_takes_the_filters_of_flows) {
  Invocation invocation;
  make_app(invocation)->parse("connections --service web --client 10.0.0.0/8 --endpoint 10.1.1.1:80 --limit 3");
  EXPECT_EQ(invocation.flows.service, "web");
  EXPECT_EQ(invocation.flows.client, "10.0.0.0/8");
  EXPECT_EQ(invocation.flows.endpoint, "10.1.1.1:80");
  EXPECT_EQ(invocation.flows.limit, 3u);
}

TEST(App, wrong_usage_is_refused) {
  for (const char* line : {"", "frobnicate", "status --frobnicate", "completion tcsh", "status --wait --watch"}) {
    Invocation invocation;
    EXPECT_THROW(make_app(invocation)->parse(line), CLI::ParseError) << line;
  }
}

TEST(App, completion_of_every_shell_names_every_command) {
  Invocation invocation;
  const auto app = make_app(invocation);
  for (const char* shell : {"bash", "zsh", "fish"})
    for (const char* command :
         {"status", "ports", "services", "flows", "connections", "counters", "check", "apply", "preflight"})
      EXPECT_THAT(completion_script(*app, shell), HasSubstr(command)) << shell;
}

TEST(App, an_unreachable_daemon_and_dataplane_is_exit_code_3) {
  Invocation invocation;
  make_app(invocation)->parse("--socket /nonexistent/penstockd.sock status");
  EXPECT_EQ(invocation.run(), kExitUnreachable);
}

TEST(App, check_of_a_file_needs_no_daemon) {
  const std::string path = ::testing::TempDir() + "penstock-check-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream{path} << "apiVersion: penstock/v1\nlisteners: [{name: x}]\n";
  Invocation invocation;
  make_app(invocation)->parse("--socket /nonexistent check " + path);
  EXPECT_EQ(invocation.run(), kExitNegative);
  ::unlink(path.c_str());
}

TEST(App, check_warns_of_routes_that_are_never_used_and_finds_the_file_good) {
  const std::string path = ::testing::TempDir() + "penstock-advice-" + std::to_string(::getpid()) + ".yaml";
  std::ofstream{path} << "apiVersion: penstock/v1\n"
                         "node: {addresses: [10.0.2.1]}\n"
                         "clusters: [{name: web, endpoints: [{address: 10.0.1.1, port: 80}]}]\n"
                         "listeners:\n"
                         "  - {name: shop, address: 10.96.0.1, port: 80, protocol: http, virtual_hosts: [{name: all, "
                         "domains: [\"*\"], routes: [\n"
                         "      {match: {prefix: /}, cluster: web},\n"
                         "      {match: {path: /a}, cluster: web}]}]}\n";
  const auto run = [&](const std::string& line) {
    Invocation invocation;
    make_app(invocation)->parse("--socket /nonexistent check " + line);
    ::testing::internal::CaptureStderr();
    ::testing::internal::CaptureStdout();
    EXPECT_EQ(invocation.run(), kExitGood);
    const std::string out = ::testing::internal::GetCapturedStdout();
    return std::pair{out, ::testing::internal::GetCapturedStderr()};
  };
  const auto [out, told] = run(path);
  EXPECT_THAT(out, HasSubstr(": ok, 1 listeners"));
  EXPECT_THAT(told, HasSubstr("warning: " + path + ":7:7: route #1 of virtual host `all` is never used"));
  const Json json = Json::parse(run("--json " + path).first);
  EXPECT_EQ(json["problems"].size(), 0u);
  EXPECT_EQ(json["warnings"].size(), 1u);
  EXPECT_EQ(json["notes"].size(), 0u);
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace penstock::cli
