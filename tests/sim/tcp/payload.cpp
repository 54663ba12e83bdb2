#include "tests/sim/tcp/payload.h"

namespace penstock::tcpsim {

constinit const Payload kPayload;

}  // namespace penstock::tcpsim
