// xsk_hooks.h - what we must see and change of the AF_XDP driver's use of libxdp.
//
// Model     the driver (DPDK 22.11) is linked statically and its calls to xsk_umem__create, xsk_socket__create,
//           xsk_umem__delete and bpf_xdp_detach go through ours (linker option --wrap). While a QueueCapture is
//           active on the calling thread they record the rings and keep the driver's hands off XDP programs.
// Why       docs/adr/0014-af-xdp-driver-hooks.md: the driver wants to attach its own program, detaches whatever
//           is attached when it closes, and loses buffers, umem and socket of a closed queue.
// Threads   control thread only; the active capture is thread-local.
#pragma once
#include <xdp/xsk.h>

#include <cstdint>

namespace penstock::io {

/// The kernel objects behind one queue. Rings belong to the driver and are valid until its port is closed.
struct QueueCapture {
  // What we ask for; 0: what the driver wants.
  std::uint32_t fill_size{};      ///< entries of the fill ring
  bool large_frames{};            ///< frames of several buffers are received
  std::uint32_t transmit_size{};  ///< entries of the transmit ring; the driver takes the receive ring's size
  // What there is then.
  xsk_umem* umem{};
  void* area{};  ///< start of the umem
  xsk_ring_prod* fill{};
  xsk_ring_cons* completion{};
  xsk_socket* socket{};
  xsk_ring_cons* rx{};
  xsk_ring_prod* tx{};
  int error{};          ///< errno of the first libxdp call that failed
  bool umem_deleted{};  ///< the driver freed it itself
};

/// Makes `capture` the active one of this thread for its lifetime.
class CaptureScope {
 public:
  explicit CaptureScope(QueueCapture& capture);
  ~CaptureScope();
  CaptureScope(const CaptureScope&) = delete;
  CaptureScope& operator=(const CaptureScope&) = delete;
};

/// Frees the umem if the driver did not. After the driver closed the port.
void release_umem(QueueCapture& capture);

}  // namespace penstock::io
