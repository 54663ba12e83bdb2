// train_socket.h - sends trains of segments as one large segment, past AF_XDP.
//
// Model     a packet socket (AF_PACKET with a virtio header) of one interface. AF_XDP's copy mode costs the kernel a
//           buffer, a softirq and a walk through the receiver's stack for every frame; a train costs them once, and a
//           receiver acknowledges it once.
// Errors    send() is false when the kernel takes nothing; the frames are then sent one by one.
// Threads   open(): control thread. send(): any worker.
#pragma once
#include "dataplane/core/fd.h"
#include "dataplane/io/packet_io.h"
#include "dataplane/io/train.h"

namespace penstock::io {

/// A socket that sends by interface `ifindex` of the current network namespace; none when it cannot be made.
[[nodiscard]] Fd open_train_socket(unsigned ifindex);
/// Sends `train`, which frames begin with. They stay the caller's.
[[nodiscard]] bool send_train(int socket, const Train& train, std::span<const Frame> frames);

}  // namespace penstock::io
