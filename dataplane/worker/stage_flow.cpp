// stage_flow: keys become directions of known flows, in one batch.
#include "dataplane/worker/worker_state.h"

namespace penstock::worker {

void Worker::State::stage_flow(Burst& b) {
  // Keys are copied here and not while parsing: wide loads right behind the parser's narrow stores would stall.
  for (std::size_t t = 0; t < b.transports; ++t) {
    const wire::PacketInfo& info = b.infos[b.at[t]];
    b.keys[t] = {info.src, info.dst, info.src_port, info.dst_port, info.proto, {}};
  }
  b.erasures = table.erasures();
  b.insertions = insertions;
  table.lookup({b.keys.data(), b.transports}, b.directions);
}

}  // namespace penstock::worker
