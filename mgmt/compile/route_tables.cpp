#include "mgmt/compile/route_tables.h"

#include <algorithm>

#include "l7/route/compile/verify.h"
#include "l7/route/loaded_table.h"

namespace penstock::compile {

Result<CompiledRoutesPointer, Problems> RouteTables::make(route::Compiler& compiler, const route::RouteTable& table) {
  auto compiled = compiler.compile(table, route::Databases::all);
  if (!compiled) return compiled.error();
  auto out = std::make_shared<CompiledRoutes>();
  out->image = std::move(compiled->image);
  out->routes = compiled->report.routes;
  const auto loaded = route::LoadedTable::load(out->image.bytes());
  if (!loaded) return Problems{loaded.error()};
  for (std::size_t i = 0; i < loaded->view().cluster_count(); ++i)
    out->clusters.emplace_back(loaded->view().cluster_name(i));
  // Another seed for another table: the same one must not always be tried the same way only because it is the first.
  const std::uint64_t seed = loaded->view().hosts().empty() ? 0 : loaded->view().hosts().front().content_hash;
  if (const auto verified = route::verify(table, *loaded, seed, kVerifyRoutes); !verified)
    return Problems{verified.error()};
  ++compiled_;
  databases_ += compiled->report.databases_compiled;
  return CompiledRoutesPointer{std::move(out)};
}

Result<CompiledRoutesPointer, Problems> RouteTables::get(const config::Listener& listener) {
  ListenerCompiler& own = compilers_[listener.name];
  own.used = true;
  const auto known = std::find_if(kept_.begin(), kept_.end(),
                                  [&](const Kept& kept) { return kept.table.virtual_hosts == listener.virtual_hosts; });
  if (known != kept_.end()) {
    known->used = true;
    return known->compiled;
  }
  route::RouteTable table{listener.virtual_hosts};
  auto made = make(own.compiler, table);
  if (!made) {
    Problems problems = made.error();
    for (Problem& problem : problems) problem.place = "listener `" + listener.name + "`: " + problem.place;
    return problems;
  }
  kept_.push_back({std::move(table), *made, true});
  return *made;
}

void RouteTables::forget_unused() {
  std::erase_if(kept_, [](const Kept& kept) { return !kept.used; });
  for (Kept& kept : kept_) kept.used = false;
  std::erase_if(compilers_, [](const auto& entry) { return !entry.second.used; });
  for (auto& [name, own] : compilers_) own.used = false;
}

}  // namespace penstock::compile
