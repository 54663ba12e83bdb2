#include "l7/http1/body.h"

#include <algorithm>

namespace penstock::http1 {

void BodyReader::start(const Framing& framing) {
  framing_ = framing;
  remaining_ = framing.kind == BodyKind::content_length ? framing.content_length : 0;
  complete_ = framing.kind == BodyKind::none || (framing.kind == BodyKind::content_length && remaining_ == 0);
  reason_ = RejectReason::none;
  chunked_.reset();
}

BodyReader::Step BodyReader::feed(const stream::Slice& slice, Marks& marks) {
  if (reason_ != RejectReason::none) return {BodyStatus::rejected, 0, {}};
  if (complete_) return {BodyStatus::complete, 0, {}};
  if (framing_.kind == BodyKind::chunked) {
    const BodyStep step = chunked_.feed(slice.octets, marks);
    complete_ = step.status == BodyStatus::complete;
    reason_ = chunked_.reason();
    return {step.status, step.consumed, {slice.where + step.consumed - step.data_octets, step.data_octets}};
  }
  if (slice.octets.empty()) return {BodyStatus::more, 0, {}};
  std::size_t octets = slice.octets.size();
  if (framing_.kind == BodyKind::content_length) {
    octets = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, octets));
    remaining_ -= octets;
    complete_ = remaining_ == 0;
  }
  return {BodyStatus::data, octets, {slice.where, octets}};
}

BodyStatus BodyReader::end_of_stream() {
  if (reason_ != RejectReason::none) return BodyStatus::rejected;
  if (framing_.kind == BodyKind::until_close || framing_.kind == BodyKind::tunnel) complete_ = true;
  if (complete_) return BodyStatus::complete;
  reason_ = RejectReason::body_truncated;
  return BodyStatus::rejected;
}

}  // namespace penstock::http1
