// random_table_test_support.h - tables and requests for comparing engines.
//
// Model     small alphabets, so that literals, prefixes and expressions overlap and conditions often decide; the same
//           seed gives the same table on every machine.
// Errors    none; every table passes validation.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "l7/route/request_view.h"
#include "l7/route/route_config.h"
#include "tests/support/seeded.h"

namespace penstock::route::test {

using penstock::test::Seeded;

struct TableShape {
  std::size_t hosts_max{4};
  std::size_t routes_max{24};
  unsigned regex_percent{30};
  unsigned condition_percent{35};
};
[[nodiscard]] std::string random_regex(Seeded& seeded, int depth);
[[nodiscard]] std::string random_path(Seeded& seeded);
[[nodiscard]] RouteTable random_table(Seeded& seeded, const TableShape& shape);

/// Owns what a RequestView refers to.
struct OwnedRequest {
  std::string host, path, query, method{"GET"}, scheme{"http"};
  std::vector<std::pair<std::string, std::string>> headers;
  std::vector<HeaderField> fields;
  [[nodiscard]] RequestView view();
};
/// Half of the paths are made from a literal or expression of the table, so that most requests hit something.
[[nodiscard]] OwnedRequest random_request(Seeded& seeded, const RouteTable& table);

/// For messages: one line per host and route.
[[nodiscard]] std::string describe(const RouteTable& table);
[[nodiscard]] std::string describe(const OwnedRequest& request);

/// Removes hosts, routes, domains and conditions as long as `fails` still does.
[[nodiscard]] RouteTable smallest_failing(RouteTable table, const std::function<bool(const RouteTable&)>& fails);

}  // namespace penstock::route::test
