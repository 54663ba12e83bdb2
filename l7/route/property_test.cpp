// Compiled equals linear: random tables, random requests, four ways of deciding expressions. More than two million
// comparisons; PENSTOCK_ROUTE_TABLES=N compares N tables, PENSTOCK_ROUTE_SEED=S begins elsewhere. A failure prints the
// smallest table that still fails.
#include <gtest/gtest.h>

#include <cstdlib>

#include "l7/route/compile/compiler.h"
#include "l7/route/compile/linear.h"
#include "l7/route/compile/validate.h"
#include "l7/route/match.h"
#include "l7/route/random_table_test_support.h"

namespace penstock::route {
namespace {

using namespace test;

std::size_t from_environment(const char* name, std::size_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::optional<LinearMatch> as_linear(const MatchResult& result) {
  if (result.status != MatchStatus::found) return std::nullopt;
  return LinearMatch{result.host, result.route};
}

/// What decides about expressions: programs one by one, Hyperscan, the automaton, both of the latter.
struct Form {
  const char* name;
  Databases databases;
  std::size_t automaton_states;
};
constexpr Form kForms[] = {{"programs", Databases::known, 0},
                           {"Hyperscan", Databases::all, 0},
                           {"automaton", Databases::all, kAutomatonStateMax},
                           {"small automaton", Databases::all, 12}};

/// One table in all compiled forms and as reference.
class Engines {
 public:
  explicit Engines(const RouteTable& table) : linear_{table} {
    Compiler compiler;
    for (const Form& form : kForms) {
      auto compiled = compiler.compile(table, form.databases, form.automaton_states);
      require(compiled.ok(), "generated table is valid");
      images_.push_back(std::move(compiled->image));
      auto loaded = LoadedTable::load(images_.back().bytes());
      require(loaded.ok(), "compiled table loads");
      loaded_.push_back(std::move(*loaded));
      require(scratch_.grow(loaded_.back()).ok(), "scratch");
    }
    require(loaded_[1].linear_hosts() == 0, "databases are complete");
  }
  /// Which form disagrees, counted from 1; 0 none.
  std::size_t disagreeing(const RequestView& request) {
    const auto expected = linear_.match(request);
    for (std::size_t i = 0; i < loaded_.size(); ++i)
      if (as_linear(match(loaded_[i], request, scratch_, 0)) != expected) return i + 1;
    found_ += expected ? 1 : 0;
    return 0;
  }
  [[nodiscard]] std::size_t found() const { return found_; }
  [[nodiscard]] const LookupCounters& counters() { return scratch_.counters(); }

 private:
  LinearTable linear_;
  std::vector<Image> images_;
  std::vector<LoadedTable> loaded_;
  Scratch scratch_;
  std::size_t found_{0};
};

void explain(const RouteTable& table, OwnedRequest& request, std::uint64_t seed, std::size_t engine) {
  const RouteTable small = smallest_failing(table, [&](const RouteTable& candidate) {
    return validate(candidate).empty() && Engines{candidate}.disagreeing(request.view()) != 0;
  });
  FAIL() << "seed " << seed << ", " << kForms[engine - 1].name << "\n" << describe(small) << describe(request);
}

struct Totals {
  std::size_t comparisons{0};
  std::size_t found{0};
  LookupCounters lookups;
};

void compare_tables(std::uint64_t first_seed, std::size_t tables, std::size_t requests, const TableShape& shape,
                    Totals& totals) {
  for (std::uint64_t seed = first_seed; seed < first_seed + tables; ++seed) {
    Seeded seeded{seed};
    RouteTable table = random_table(seeded, shape);
    // A few generated expressions are not valid (a repetition of nothing); such routes are left out.
    for (VirtualHost& host : table.virtual_hosts)
      std::erase_if(host.routes, [](const Route& route) {
        RouteTable alone{{{"h", {"*"}, {route}}}};
        return !validate(alone).empty();
      });
    Engines engines{table};
    for (std::size_t i = 0; i < requests; ++i) {
      OwnedRequest request = random_request(seeded, table);
      if (const std::size_t engine = engines.disagreeing(request.view()); engine != 0)
        return explain(table, request, seed, engine);
      totals.comparisons += std::size(kForms);
    }
    totals.found += engines.found();
    totals.lookups.decided += engines.counters().decided;
    totals.lookups.scans += engines.counters().scans;
    totals.lookups.linear += engines.counters().linear;
    totals.lookups.scan_failures += engines.counters().scan_failures;
  }
}

TEST(RouteProperty, compiled_equals_linear_on_random_tables) {
  const std::size_t tables = from_environment("PENSTOCK_ROUTE_TABLES", 600);
  Totals totals;
  compare_tables(from_environment("PENSTOCK_ROUTE_SEED", 1), tables, 1'200, {}, totals);
  RecordProperty("comparisons", static_cast<int>(totals.comparisons));
  std::printf("%zu comparisons, %zu requests found a route\n", totals.comparisons, totals.found);
  // Neither everything nor nothing may match, or the comparison would say little.
  EXPECT_GT(totals.found * 20, totals.comparisons);
  EXPECT_LT(totals.found * 5, totals.comparisons);
  // All ways of deciding expressions were compared, and no failing scan hides behind the linear way.
  EXPECT_GT(totals.lookups.scans * 40, totals.comparisons);
  EXPECT_GT(totals.lookups.decided * 200, totals.comparisons);
  EXPECT_GT(totals.lookups.linear * 40, totals.comparisons);
  EXPECT_EQ(totals.lookups.scan_failures, 0u);
}

TEST(RouteProperty, compiled_equals_linear_on_large_hosts) {
  Totals totals;
  compare_tables(5'000, 4, 4'000, {2, 600, 25, 20}, totals);
  EXPECT_EQ(totals.comparisons, 4u * 4'000 * std::size(kForms));
}

}  // namespace
}  // namespace penstock::route
