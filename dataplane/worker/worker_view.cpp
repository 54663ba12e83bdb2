#include "dataplane/worker/worker_view.h"

#include <algorithm>

namespace penstock::worker {

control::NextHopIndex WorkerView::find_next_hop(const IpAddress& address) const {
  const auto at = std::lower_bound(by_address.begin(), by_address.end(), address,
                                   [](const AddressedNextHop& a, const IpAddress& b) { return a.address < b; });
  return at != by_address.end() && at->address == address ? at->index : control::kNoNextHop;
}

void build_view_index(WorkerView& view) {
  const auto endpoints = view.snapshot.endpoints();
  view.endpoint_next_hops.resize(endpoints.size(), control::kNoNextHop);
  view.by_address.clear();
  view.by_address.reserve(endpoints.size());
  for (std::size_t i = 0; i < endpoints.size(); ++i)
    view.by_address.push_back({endpoints[i].address, view.endpoint_next_hops[i]});
  std::sort(view.by_address.begin(), view.by_address.end(), [](const AddressedNextHop& a, const AddressedNextHop& b) {
    return a.address != b.address ? a.address < b.address : a.index < b.index;
  });
}

Status build_http_view(WorkerView& view, std::uint32_t workers, const HttpView* previous) {
  view.http = nullptr;
  const auto listeners = view.snapshot.listeners();
  if (std::none_of(listeners.begin(), listeners.end(), control::is_served)) return Done{};
  auto tables = route::ListenerTables::load(view.snapshot, previous == nullptr ? nullptr : &previous->tables);
  if (!tables) return tables.error();
  auto http = std::make_shared<HttpView>();
  http->tables = std::move(*tables);
  http->config = proxy::make_config(view.snapshot, http->tables, workers);
  for (std::uint32_t w = 0; w < workers; ++w) {
    http->scratch.push_back(std::make_unique<route::Scratch>());
    if (Status grown = route::grow(*http->scratch.back(), http->tables); !grown) return grown;
  }
  view.http = std::move(http);
  return Done{};
}

std::uint64_t ViewPublisher::publish(std::unique_ptr<WorkerView> view) {
  view->generation = ++generation_;
  const WorkerView* const raw = view.get();
  views_.push_back(std::move(view));
  exchange_.current.store(raw, std::memory_order_release);
  return generation_;
}

bool ViewPublisher::adopted_by_all(std::uint64_t generation) const {
  for (std::size_t w = 0; w < worker_count_; ++w)
    if (exchange_.adopted[w].generation.load(std::memory_order_acquire) < generation) return false;
  return true;
}

std::size_t ViewPublisher::collect() {
  while (views_.size() > 1 && adopted_by_all(views_[1]->generation)) views_.pop_front();
  return views_.size();
}

}  // namespace penstock::worker
