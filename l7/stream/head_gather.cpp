#include "l7/stream/head_gather.h"

#include <algorithm>
#include <cstring>

#include "dataplane/core/require.h"

namespace penstock::stream {

std::string_view HeadGather::offer(std::string_view slice) {
  if (held_ == 0) {
    copied_ = false;
    slice_ = slice;
    return slice;
  }
  // Octets beyond the buffer are beyond the parser's limit too, so leaving them out changes no answer.
  const std::size_t taken = std::min(slice.size(), buffer_.size() - held_);
  if (taken > 0) std::memcpy(buffer_.data() + held_, slice.data(), taken);
  slice_ = slice.substr(0, taken);
  copied_ = true;
  return {buffer_.data(), held_ + taken};
}

void HeadGather::keep() {
  require(held_ + slice_.size() <= buffer_.size(), "head buffer smaller than the parser's limit");
  if (held_ == 0 && !slice_.empty()) std::memcpy(buffer_.data(), slice_.data(), slice_.size());
  held_ += slice_.size();
  slice_ = {};
}

std::size_t HeadGather::finish(std::size_t head_octets) {
  require(head_octets >= held_ && head_octets - held_ <= slice_.size(), "head ends before the last slice");
  const std::size_t of_slice = head_octets - held_;
  held_ = 0;
  slice_ = {};
  return of_slice;
}

}  // namespace penstock::stream
