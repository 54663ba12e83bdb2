// compiler.h - a route table into its image.
//
// Model     validate, build all hosts side by side (TBB), add the databases that are known or, when asked, compile
//           the missing ones side by side. The daemon publishes Databases::known at once, so that a change takes
//           effect without waiting, and Databases::all when it is done: until then the changed hosts try their
//           expressions one by one. Only hosts whose expressions changed are compiled again.
// Units     octets; counts in CompileReport.
// Errors    all problems of the configuration at once.
// Limits    limits.h; kTableOctetsMax for the image.
// Not here  publishing; verification of the result (verify.h).
#pragma once
#include "dataplane/core/result.h"
#include "l7/route/compile/automaton_builder.h"
#include "l7/route/compile/database.h"
#include "l7/route/flat_image.h"
#include "l7/route/route_config.h"

namespace penstock::route {

enum class Databases : std::uint8_t {
  known,  ///< those in the cache; milliseconds
  all     ///< compile what is missing; seconds for thousands of expressions on one host
};

struct CompileReport {
  std::size_t hosts{0};
  std::size_t routes{0};
  std::size_t databases_compiled{0};
  std::size_t databases_reused{0};
  std::size_t databases_missing{0};
};
struct Compiled {
  Image image;
  CompileReport report;
};

/// Keeps databases between calls. One thread at a time.
class Compiler {
 public:
  /// Fewer `automaton_states` leave more to Hyperscan; 0 everything.
  [[nodiscard]] Result<Compiled, Problems> compile(const RouteTable& table, Databases databases,
                                                   std::size_t automaton_states = kAutomatonStateMax);

 private:
  DatabaseCache cache_;
};

}  // namespace penstock::route
