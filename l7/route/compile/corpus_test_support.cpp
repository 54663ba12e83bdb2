// Writes seeds for the route fuzz targets: route_corpus_writer DIR, usually tests/corpus. To be run after a change of
// the layout.
#include <filesystem>
#include <fstream>
#include <iostream>

#include "l7/route/compile/compiler.h"
#include "l7/route/compile/validate.h"
#include "l7/route/random_table_test_support.h"

namespace {

using namespace penstock;
using namespace penstock::route;

void write(const std::filesystem::path& path, std::string_view octets) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream{path, std::ios::binary} << octets;
}

RouteTable small_table(bool regexes) {
  Route exact, prefix, folded, regex, moved;
  exact.match.path = {PathKind::exact, "/api/v1/users/42"};
  exact.match.headers = {{"x-a", ValueKind::regex, "[0-9],[0-9]"}, {"x-b", ValueKind::prefix, "AB", 0, 0, true}};
  exact.action = Forward{{{"one", 1}, {"two", 3}}, {"/internal", {}}, "inside.example"};
  prefix.match.path = {PathKind::segment_prefix, "/api"};
  prefix.match.query_params = {{"a", ValueKind::range, "", 0, 5}};
  prefix.match.methods = {"GET", "PURGE"};
  prefix.action = DirectResponse{200, "hello"};
  prefix.response = {{"server"}, {{"x-added", "1", HeaderEditMode::add}}};
  folded.match.path = {PathKind::prefix, "/a/", true};
  folded.action = Forward{{{"one", 1}}, {{}, RegexRewrite{"/(.)", "/\\1\\1"}}};
  regex.match.path = {PathKind::regex, "/items/[0-9]+(/detail)?"};
  regex.action = Forward{{{"two", 1}}};
  moved.action = Redirect{301, "https"};
  std::vector<Route> routes{exact, prefix, folded};
  if (regexes) routes.push_back(regex);
  routes.push_back(moved);
  return {{{"main", {"a.example", "*.example", "a.*"}, routes}, {"rest", {"*"}, {moved}}}};
}

void write_table(const std::filesystem::path& path, const RouteTable& table, Databases databases) {
  const auto compiled = Compiler{}.compile(table, databases);
  require(compiled.ok(), "seed table is valid");
  const ByteView bytes = compiled->image.bytes();
  write(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: route_corpus_writer DIR\n";
    return 2;
  }
  const std::filesystem::path root{argv[1]};
  write_table(root / "route_table_fuzz/empty", {}, Databases::all);
  write_table(root / "route_table_fuzz/literals", small_table(false), Databases::all);
  write_table(root / "route_table_fuzz/without_database", small_table(true), Databases::known);
  write_table(root / "route_table_fuzz/with_database", small_table(true), Databases::all);
  penstock::route::test::Seeded seeded{4};
  for (int i = 0; i < 24; ++i) {
    const std::string pattern = penstock::route::test::random_regex(seeded, 3);
    write(root / "route_regex_fuzz" / ("random" + std::to_string(i)), pattern + "\n/ab/1a.b");
  }
  for (int i = 0; i < 24; ++i) {
    penstock::route::test::Seeded table_seed{static_cast<std::uint64_t>(i % 16 + 100)};
    const RouteTable table = penstock::route::test::random_table(table_seed, {});
    auto request = penstock::route::test::random_request(seeded, table);
    std::string text(1, static_cast<char>(i % 16));
    text += request.host + "\n" + request.path + "\n" + request.query + "\n" + request.method + "\n";
    for (const auto& [name, value] : request.headers) text += name + ":" + value + "\n";
    write(root / "route_request_fuzz" / ("random" + std::to_string(i)), text);
  }
  return 0;
}
