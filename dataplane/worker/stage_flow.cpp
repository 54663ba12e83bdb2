// stage_flow: keys become directions of known flows, in one batch.
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

void Worker::State::stage_flow(Burst& b) {
  b.erasures = table.erasures();
  b.insertions = insertions;
  table.lookup({b.keys.data(), b.transports}, b.directions);
}

}  // namespace penstock::worker
