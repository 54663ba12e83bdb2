// Any request against tables that are given: compiled and linear answer alike, with and without databases. Input: one
// octet that chooses the table, then lines: host, path, query, method, and "name:value" headers.
#include <array>
#include <memory>

#include "l7/route/compile/compiler.h"
#include "l7/route/compile/linear.h"
#include "l7/route/compile/validate.h"
#include "l7/route/match.h"
#include "l7/route/random_table_test_support.h"

namespace penstock::route {
namespace {

constexpr std::size_t kTables = 16;

struct Given {
  RouteTable table;
  std::array<Image, 2> images;
  std::vector<LoadedTable> loaded;
  std::unique_ptr<LinearTable> linear;
  Scratch scratch;
};

std::unique_ptr<Given> make(std::uint64_t seed) {
  auto given = std::make_unique<Given>();
  test::Seeded seeded{seed};
  given->table = test::random_table(seeded, {});
  for (VirtualHost& host : given->table.virtual_hosts)
    std::erase_if(host.routes, [](const Route& route) { return !validate({{{"h", {"*"}, {route}}}}).empty(); });
  Compiler compiler;
  given->images[0] = std::move(compiler.compile(given->table, Databases::known)->image);
  given->images[1] = std::move(compiler.compile(given->table, Databases::all)->image);
  for (const Image& image : given->images) {
    given->loaded.push_back(*LoadedTable::load(image.bytes()));
    require(given->scratch.grow(given->loaded.back()).ok(), "scratch");
  }
  given->linear = std::make_unique<LinearTable>(given->table);
  return given;
}

std::string_view take_line(std::string_view& rest) {
  const std::size_t end = std::min(rest.find('\n'), rest.size());
  const std::string_view line = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return line;
}

void ask(Given& given, std::string_view text) {
  RequestView request;
  request.host = take_line(text);
  request.path = take_line(text);
  request.query = take_line(text);
  if (!request.query.empty() && !request.query.starts_with('?')) return;
  request.method = take_line(text);
  std::vector<HeaderField> fields;
  while (!text.empty() && fields.size() < 32) {
    const std::string_view line = take_line(text);
    const std::size_t colon = std::min(line.find(':'), line.size());
    fields.push_back(HeaderField::of(line.substr(0, colon), line.substr(std::min(colon + 1, line.size()))));
  }
  request.headers = fields;
  const auto expected = given.linear->match(request);
  for (const LoadedTable& loaded : given.loaded) {
    const MatchResult got = match(loaded, request, given.scratch, 0);
    require((got.status == MatchStatus::found) == expected.has_value(), "engines disagree");
    require(!expected || (got.host == expected->host && got.route == expected->route), "engines disagree");
  }
}

}  // namespace
}  // namespace penstock::route

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace penstock::route;
  static std::array<std::unique_ptr<Given>, kTables> tables;
  if (size == 0 || size > 4'096) return 0;
  auto& given = tables[data[0] % kTables];
  if (given == nullptr) given = make(data[0] % kTables + 100);
  ask(*given, {reinterpret_cast<const char*>(data) + 1, size - 1});
  return 0;
}
