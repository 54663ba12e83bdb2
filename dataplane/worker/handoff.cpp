#include "dataplane/worker/handoff.h"

namespace penstock::worker {

HandoffMesh::HandoffMesh(std::vector<io::PacketIo*> ios, std::size_t slots) : ios_{std::move(ios)} {
  for (std::size_t i = 0; i < ios_.size() * ios_.size(); ++i) {
    auto pair = std::make_unique<Pair>();
    pair->slots.resize(slots);
    pairs_.push_back(std::move(pair));
  }
}

HandoffRing HandoffMesh::ring(std::size_t from, std::size_t to) {
  Pair& pair = *pairs_[from * ios_.size() + to];
  return HandoffRing{pair.control, pair.slots};
}

}  // namespace penstock::worker
