#include "l7/stream/output_queue.h"

#include <algorithm>
#include <cstring>

#include "dataplane/core/require.h"

namespace penstock::stream {

bool OutputQueue::append(OutputPiece piece) {
  if (count_ > 0 && back().is_text == piece.is_text && back().range.end() == piece.range.where) {
    back().range.octets += piece.range.octets;  // what follows without a gap is one piece
  } else {
    if (count_ == pieces_.size()) return false;
    pieces_[(first_ + count_) % pieces_.size()] = piece;
    ++count_;
  }
  queued_ += piece.range.octets;
  return true;
}

bool OutputQueue::push(std::string_view text) {
  if (text.empty()) return true;
  if (text.size() > ring_.size() - static_cast<std::size_t>(text_end_ - text_begin_)) return false;
  if (!append({true, {text_end_, text.size()}})) return false;
  const auto at = static_cast<std::size_t>(text_end_ % ring_.size());
  const std::size_t before_wrap = std::min(text.size(), ring_.size() - at);
  std::memcpy(ring_.data() + at, text.data(), before_wrap);
  if (before_wrap < text.size()) std::memcpy(ring_.data(), text.data() + before_wrap, text.size() - before_wrap);
  text_end_ += text.size();
  return true;
}

bool OutputQueue::push(Range range) { return range.octets == 0 || append({false, range}); }

std::string_view OutputQueue::text() const {
  require(count_ > 0 && front().is_text, "the front piece is no text");
  const auto at = static_cast<std::size_t>(front().range.where % ring_.size());
  return {ring_.data() + at, std::min(static_cast<std::size_t>(front().range.octets), ring_.size() - at)};
}

void OutputQueue::sent(std::uint64_t octets) {
  require(count_ > 0 && octets <= front().range.octets, "more sent than queued");
  OutputPiece& piece = pieces_[first_];
  piece.range.where += octets;
  piece.range.octets -= octets;
  queued_ -= octets;
  if (piece.is_text) text_begin_ += octets;
  if (piece.range.octets == 0) {
    first_ = (first_ + 1) % pieces_.size();
    --count_;
  }
}

}  // namespace penstock::stream
