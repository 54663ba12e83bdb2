// stage_flow: the lookups of all transport packets begin; their buckets are on the way while the others are hashed.
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

void Worker::State::stage_flow(Burst& b) {
  b.erasures = table.erasures();
  // Not while parsing: the hash's wide loads right behind the parser's narrow stores would stall.
  for (std::size_t t = b.transports > 2 ? b.transports - 2 : 0; t < b.transports; ++t)
    b.probes[t] = table.start(b.infos[b.at[t]]);
}

}  // namespace penstock::worker
