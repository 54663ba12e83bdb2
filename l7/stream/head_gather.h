// head_gather.h - makes a message head contiguous, copying only when it spans slices.
//
// Model     offer() gives everything of the head so far as one view. As long as the head lies in one slice that view
//           is the slice itself; when the parser needs more, keep() moves it into the lent buffer, and later slices
//           are appended there.
//
//             view = gather.offer(slice)  -> parser says more      -> gather.keep()
//                                         -> parser says complete  -> rest = gather.finish(head_octets)
//
// Units     octets.
// Errors    none: the buffer is at least as large as the parser's limit, which stops a longer head first.
// Limits    the buffer's size; kHeadBufferDefault is what a proxy lends.
// Not here  where heads end (l7/http1/head_scan.h).
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace penstock::stream {

inline constexpr std::size_t kHeadBufferDefault = 16 * 1024;
inline constexpr std::size_t kHeadBufferMax = 64 * 1024;

class HeadGather {
 public:
  /// `buffer` outlives this and belongs to it while a head is open.
  explicit HeadGather(std::span<char> buffer) : buffer_{buffer} {}

  /// The head so far, `slice` at its end. A view that is valid until the slice goes or the next call here.
  [[nodiscard]] std::string_view offer(std::string_view slice);
  /// The head goes on in a later slice: what was offered is kept. All of the slice is consumed then.
  void keep();
  /// The head took `head_octets` of the offered view: how many octets of the last slice belong to it. Starts anew.
  [[nodiscard]] std::size_t finish(std::size_t head_octets);

  [[nodiscard]] std::size_t held() const { return held_; }
  /// True when the last head had to be copied; for counters and tests.
  [[nodiscard]] bool copied() const { return copied_; }

 private:
  std::span<char> buffer_;
  std::string_view slice_;  // what was offered last, not yet kept
  std::size_t held_{};      // octets of earlier slices in the buffer
  bool copied_{};
};

}  // namespace penstock::stream
