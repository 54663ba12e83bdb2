#include "l7/http1/chunked.h"

#include <algorithm>
#include <cstring>

#include "dataplane/core/require.h"
#include "l7/http1/chars.h"
#include "l7/http1/field_parser.h"

namespace penstock::http1 {

void ChunkedDecoder::reset() {
  scan_ = HeadScan{trailer_limits()};
  state_ = State::size;
  digits_ = 0;
  reason_ = RejectReason::none;
  extension_octets_ = message_extension_octets_ = trailer_octets_ = 0;
  remaining_ = 0;
}

BodyStep ChunkedDecoder::feed(std::string_view input, Marks& marks) {
  if (reason_ != RejectReason::none) return {BodyStatus::rejected, 0, 0};
  if (state_ == State::done) return {BodyStatus::complete, 0, 0};
  for (std::size_t at = 0; at < input.size();) {
    if (state_ == State::data) {
      const std::size_t octets = static_cast<std::size_t>(std::min<std::uint64_t>(remaining_, input.size() - at));
      remaining_ -= octets;
      if (remaining_ == 0) state_ = State::data_cr;
      return {BodyStatus::data, at + octets, octets};
    }
    if (state_ == State::trailers) return feed_trailers(input.substr(at), at, marks);
    if (!step(input[at])) return {BodyStatus::rejected, at, 0};
    ++at;
  }
  return {BodyStatus::more, input.size(), 0};
}

bool ChunkedDecoder::step(char octet) {
  switch (state_) {
    case State::size:
      return size_octet(octet);
    case State::extension:
      if (octet == '\r') {
        state_ = State::size_lf;
        return extension_octets_ > 1 || reject(RejectReason::chunk_extension_malformed);  // only a semicolon
      }
      if (!is(octet, kValueChar)) return reject(RejectReason::chunk_extension_malformed);
      if (++extension_octets_ > limits_->extension_octets ||
          ++message_extension_octets_ > limits_->message_extension_octets)
        return reject(RejectReason::chunk_extension_too_long);
      return true;
    case State::size_lf:
      if (octet != '\n')
        return reject(extension_octets_ > 0 ? RejectReason::chunk_extension_malformed
                                            : RejectReason::chunk_size_malformed);
      state_ = remaining_ == 0 ? State::trailers : State::data;
      return true;
    case State::data_cr:
      if (octet != '\r') return reject(RejectReason::chunk_end_malformed);
      state_ = State::data_lf;
      return true;
    case State::data_lf:
      if (octet != '\n') return reject(RejectReason::chunk_end_malformed);
      state_ = State::size;
      digits_ = 0;
      extension_octets_ = 0;
      return true;
    case State::data:
    case State::trailers:
    case State::done:
      break;
  }
  return true;
}

bool ChunkedDecoder::size_octet(char octet) {
  constexpr std::uint8_t kDigitMax = 16;
  if (const int value = hex_value(octet); value >= 0) {
    if (++digits_ > kDigitMax || remaining_ > (0x7fffffffffffffffu >> 4))
      return reject(RejectReason::chunk_size_overflow);
    remaining_ = remaining_ << 4 | static_cast<unsigned>(value);
    return true;
  }
  if (digits_ == 0 || (octet != '\r' && octet != ';')) return reject(RejectReason::chunk_size_malformed);
  state_ = octet == '\r' ? State::size_lf : State::extension;
  if (octet == ';') extension_octets_ = 1;
  return true;
}

BodyStep ChunkedDecoder::feed_trailers(std::string_view input, std::size_t consumed, Marks& marks) {
  // What stands behind the section is copied too, and not counted as consumed.
  const std::size_t taken = std::min(input.size(), buffer_.size() - trailer_octets_);
  if (taken > 0) std::memcpy(buffer_.data() + trailer_octets_, input.data(), taken);
  const ParseStatus status = scan_.scan({buffer_.data(), trailer_octets_ + taken}, *classifier_, marks);
  if (status == ParseStatus::rejected) {
    const bool too_large = scan_.reason() == RejectReason::head_too_large;
    reject(too_large ? RejectReason::trailer_too_large : scan_.reason());
    return {BodyStatus::rejected, consumed, 0};
  }
  if (status == ParseStatus::more) {
    trailer_octets_ += static_cast<std::uint32_t>(taken);
    return {BodyStatus::more, consumed + taken, 0};
  }
  const std::size_t used = scan_.head_octets() - trailer_octets_;
  trailer_octets_ = scan_.head_octets();
  state_ = State::done;
  return {BodyStatus::complete, consumed + used, 0};
}

RejectReason ChunkedDecoder::parse_trailers(const Marks& marks, NameRule underscore, FieldTable& out) const {
  require(state_ == State::done, "trailers before the end of the body");
  return parse_fields(trailer_text(), 0, {marks.data(), 2 * std::size_t{scan_.lines()}}, underscore, classifier_->level,
                      out);
}

void ChunkedEncoder::begin_chunk(std::uint64_t octets, stream::Writer& out) {
  require(octets > 0, "a chunk of no octets ends the body");
  if (!first_) out.put("\r\n");
  first_ = false;
  out.put_hex(octets);
  out.put("\r\n");
}

void ChunkedEncoder::last_chunk(stream::Writer& out) {
  out.put(first_ ? "0\r\n" : "\r\n0\r\n");
  first_ = true;
}

}  // namespace penstock::http1
