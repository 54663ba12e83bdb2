#include "dataplane/io/dpdk/xsk_hooks.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "dataplane/core/require.h"
#include "dataplane/io/dpdk/xdp_map.h"

namespace penstock::io {
namespace {
constexpr int kBusyTries = 100;
constexpr unsigned kBusyWaitUs = 3000;
thread_local QueueCapture* active_capture = nullptr;
}  // namespace

CaptureScope::CaptureScope(QueueCapture& capture) {
  require(active_capture == nullptr, "captures do not nest");
  active_capture = &capture;
}
CaptureScope::~CaptureScope() { active_capture = nullptr; }

// The names are the linker's: --wrap=f sends calls of f to __wrap_f and offers the original as __real_f.
extern "C" {
int __real_xsk_umem__create(xsk_umem** umem, void* area, __u64 size, xsk_ring_prod* fill, xsk_ring_cons* completion,
                            const xsk_umem_config* config);
int __real_xsk_socket__create(xsk_socket** xsk, const char* ifname, __u32 queue, xsk_umem* umem, xsk_ring_cons* rx,
                              xsk_ring_prod* tx, const xsk_socket_config* config);
int __real_xsk_umem__delete(xsk_umem* umem);

int __wrap_xsk_umem__create(xsk_umem** umem, void* area, __u64 size, xsk_ring_prod* fill, xsk_ring_cons* completion,
                            const xsk_umem_config* config) {
  QueueCapture* capture = active_capture;
  xsk_umem_config ours = *config;
  if (capture != nullptr && capture->fill_size != 0) ours.fill_size = std::max(ours.fill_size, capture->fill_size);
  const int result = __real_xsk_umem__create(umem, area, size, fill, completion, &ours);
  if (capture == nullptr) return result;
  if (result != 0) {
    capture->error = -result;
    return result;
  }
  capture->umem = *umem;
  capture->area = area;
  capture->fill = fill;
  capture->completion = completion;
  return result;
}

int __wrap_xsk_socket__create(xsk_socket** xsk, const char* ifname, __u32 queue, xsk_umem* umem, xsk_ring_cons* rx,
                              xsk_ring_prod* tx, const xsk_socket_config* config) {
  xsk_socket_config ours = *config;
  ours.libxdp_flags |= XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD;
  QueueCapture* capture = active_capture;
  if (capture != nullptr && capture->transmit_size != 0) ours.tx_size = capture->transmit_size;
  if (capture != nullptr && capture->large_frames) ours.bind_flags |= kUseSeveralBuffers;
  int result = __real_xsk_socket__create(xsk, ifname, queue, umem, rx, tx, &ours);
  // The queue of a socket that was just closed is given back a little later, from a kernel work queue.
  for (int i = 0; result == -EBUSY && i < kBusyTries; ++i) {
    ::usleep(kBusyWaitUs);
    result = __real_xsk_socket__create(xsk, ifname, queue, umem, rx, tx, &ours);
  }
  if (capture == nullptr) return result;
  if (result != 0) {
    capture->error = -result;
    return result;
  }
  capture->socket = *xsk;
  capture->rx = rx;
  capture->tx = tx;
  return result;
}

int __wrap_xsk_umem__delete(xsk_umem* umem) {
  QueueCapture* capture = active_capture;
  if (capture != nullptr && capture->umem == umem) capture->umem_deleted = true;
  return __real_xsk_umem__delete(umem);
}

// The program is the daemon's: it stays attached, whatever the driver wants.
int __wrap_bpf_xdp_detach(int, __u32, const void*) { return 0; }
}

void release_umem(QueueCapture& capture) {
  if (capture.umem != nullptr && !capture.umem_deleted) __real_xsk_umem__delete(capture.umem);
  capture = {};
}

}  // namespace penstock::io
