// psk_transfer - moves octets over TCP and checks every one of them at both ends, however the connections behave.
//
// Usage     psk_transfer server ADDRESS:PORT... [--greet]
//           psk_transfer client ADDRESS:PORT [--connections N] [--up OCTETS] [--down OCTETS] ...   (--help)
// Model     the client tells the server on each connection what to do (request.h); the server reports back what it
//           received. Manners (slow, stopping, resetting ends) exist for both sides.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "tests/support/transfer/client.h"
#include "tests/support/transfer/server.h"

namespace penstock::transfer {
namespace {

void allow_many_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

void add_manners(CLI::App& app, const std::string& prefix, Manners& manners) {
  app.add_option(prefix + "read-rate", manners.reads_per_second, "octets per second; 0: as fast as possible");
  app.add_option(prefix + "stop-after", manners.stops_reading_after, "octets received, then a pause");
  app.add_option(prefix + "stop-ms", manners.stops_for_ms, "length of the pause");
  app.add_option(prefix + "reset-after", manners.resets_after, "octets sent and received, then a reset");
  app.add_option(prefix + "close-after", manners.closes_after, "octets received, then close() with unread data");
}

int run(int argc, char** argv) {
  CLI::App app{"Checked transfers over TCP"};
  app.require_subcommand(1);
  std::vector<std::string> listens;
  bool greets = false;
  CLI::App* server = app.add_subcommand("server", "serves until SIGTERM");
  server->add_option("addresses", listens, "ADDRESS:PORT")->required();
  server->add_flag("--greet", greets, "speaks first");

  ClientPlan plan;
  std::string to;
  bool no_report = false, client_last = false, server_last = false;
  CLI::App* client = app.add_subcommand("client", "opens connections and prints one JSON line");
  client->add_option("address", to, "ADDRESS:PORT")->required();
  client->add_option("--connections", plan.connections);
  client->add_option("--start-rate", plan.connections_per_second, "connections per second; 0: all at once");
  client->add_option("--up", plan.up, "octets per connection to the server");
  client->add_option("--down", plan.down, "octets per connection from the server");
  client->add_flag("--server-last", server_last, "the server sends only after the client's end of stream");
  client->add_flag("--client-last", client_last, "the client sends only after the server's end of stream; no report");
  client->add_flag("--greeting", plan.expects_greeting, "the server speaks first");
  client->add_flag("--no-report", no_report, "the server ends its stream without telling what it received");
  add_manners(*client, "--", plan.mine);
  add_manners(*client, "--server-", plan.servers);
  client->add_option("--timeout", plan.timeout_seconds, "seconds");
  client->add_option("--progress", plan.progress_seconds, "seconds between lines");
  CLI11_PARSE(app, argc, argv);

  allow_many_descriptors();
  std::vector<SocketAddress> addresses;
  for (const std::string& text : server->parsed() ? listens : std::vector{to}) {
    const auto parsed = SocketAddress::parse(text);
    if (!parsed) return std::fprintf(stderr, "psk_transfer: '%s' is no ADDRESS:PORT\n", text.c_str()), 1;
    addresses.push_back(*parsed);
  }
  if (server->parsed()) return run_server(addresses, greets);
  plan.to = addresses.front();
  plan.turn = client_last ? Turn::after_end : Turn::at_once;
  plan.server_turn = server_last ? Turn::after_end : Turn::at_once;
  plan.report = !no_report && !client_last;
  return run_client(plan);
}

}  // namespace
}  // namespace penstock::transfer

int main(int argc, char** argv) { return penstock::transfer::run(argc, argv); }
