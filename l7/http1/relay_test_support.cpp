#include "l7/http1/relay_test_support.h"

#include <algorithm>
#include <array>
#include <memory>

#include "dataplane/core/require.h"
#include "l7/http1/fuzz_test_support.h"
#include "l7/http1/serialise.h"
#include "l7/stream/head_gather.h"

namespace penstock::http1::test {

namespace {

/// One direction of a connection. Requests and responses differ in their heads only.
template <typename Head, typename Parser>
class Direction {
 public:
  Direction(const Classifier& classifier, const RelayOptions& options)
      : options_{options},
        buffer_(options.limits.head_octets),
        trailers_(options.trailer_octets),
        gather_{buffer_},
        parser_{options_.limits, options_.policy, classifier},
        body_{options_.body, classifier, trailers_},
        marks_{std::make_unique<Marks>()},
        head_{std::make_unique<Head>()} {}

  /// False when the connection is over.
  bool feed(stream::Slice slice) {
    while (result.end.empty()) {
      if (in_body_ ? !feed_body(slice) : !feed_head(slice)) break;
    }
    return result.end.empty();
  }
  void finish(bool closed) {
    if (!result.end.empty()) return;
    if (in_body_ && closed) {
      if (body_.end_of_stream() == BodyStatus::rejected) return reject(body_.reason());
      close_body();
      in_body_ = false;
    }
    result.end = in_body_ || gather_.held() > 0 ? "more" : "end";
    if (in_body_) flush_chunk();
  }

  Relayed result;

 private:
  /// False when the slice is used up.
  bool feed_head(stream::Slice& slice) {
    if (slice.octets.empty()) return false;
    const std::string_view text = gather_.offer(slice.octets);
    const ParseStatus status = parse(text);
    if (status == ParseStatus::rejected) {
      reject(parser_.reason());
      return false;
    }
    if (status == ParseStatus::more) {
      gather_.keep();
      return false;
    }
    write_head();
    slice = slice.from(gather_.finish(head_->octets));
    parser_.reset();
    // After an interim response comes another head; after a switch, or a tunnel, none.
    body_.start(head_->framing);
    in_body_ = true;
    return true;
  }
  bool feed_body(stream::Slice& slice) {
    const BodyReader::Step step = body_.feed(slice, *marks_);
    if (step.status == BodyStatus::data)
      pending_ += slice.octets.substr(static_cast<std::size_t>(step.data.where - slice.where),
                                      static_cast<std::size_t>(step.data.octets));
    slice = slice.from(step.consumed);
    if (step.status == BodyStatus::rejected) reject(body_.reason());
    if (step.status == BodyStatus::complete) {
      if (const RejectReason reason = close_body(); reason != RejectReason::none)
        reject(reason);
      else
        in_body_ = false;
    }
    return step.status == BodyStatus::data || step.status == BodyStatus::complete;
  }
  RejectReason close_body() {
    flush_chunk();
    if (framing_.kind != BodyKind::chunked) return RejectReason::none;
    std::vector<char> space(4096 + options_.trailer_octets);
    stream::Writer out{space};
    encoder_.last_chunk(out);
    if (body_.framing().kind == BodyKind::chunked) {
      const auto trailers = std::make_unique<FieldTable>();
      const RejectReason reason =
          body_.chunked().parse_trailers(*marks_, options_.policy.underscore_in_names, *trailers);
      if (reason != RejectReason::none) return reason;
      write_trailers(body_.chunked().trailer_text(), *trailers, out);
    } else {
      out.put("\r\n");
    }
    result.messages.back() += out.text();
    return RejectReason::none;
  }
  /// The body so far: as one chunk, since cuts of the input must not show in the result.
  void flush_chunk() {
    if (!pending_.empty() && framing_.kind == BodyKind::chunked) {
      std::array<char, 64> space;
      stream::Writer out{space};
      encoder_.begin_chunk(pending_.size(), out);
      result.messages.back() += out.text();
    }
    result.messages.back() += pending_;
    pending_.clear();
  }
  void reject(RejectReason reason) {
    if (in_body_) flush_chunk();
    result.end = "reject " + std::string{name_of(reason)};
  }
  ParseStatus parse(std::string_view text) {
    if constexpr (std::is_same_v<Head, RequestHead>)
      return parser_.parse(text, *marks_, *head_);
    else
      return parser_.parse(text, options_.method, *marks_, *head_);
  }
  void write_head() {
    std::vector<char> space(2 * kHeadOctetsMax);
    stream::Writer out{space};
    WriteStatus status;
    if constexpr (std::is_same_v<Head, RequestHead>) {
      framing_ = head_->framing;
      // A host for heads that a leniency lets in without one; else their own.
      status = write_request(*head_, options_.policy, {.host = head_->authority.octets == 0 ? "default" : ""}, out);
    } else {
      framing_ = outgoing_framing(head_->framing, 1);
      status = write_response(*head_, options_.policy, {.framing = framing_, .keep_alive = head_->keep_alive}, out);
    }
    require(status == WriteStatus::ok, "an accepted head cannot be written");
    encoder_ = ChunkedEncoder{};
    result.messages.emplace_back(out.text());
  }

  RelayOptions options_;
  std::vector<char> buffer_, trailers_;
  stream::HeadGather gather_;
  Parser parser_;
  BodyReader body_;
  std::unique_ptr<Marks> marks_;
  std::unique_ptr<Head> head_;
  Framing framing_;
  ChunkedEncoder encoder_;
  std::string pending_;
  bool in_body_{};
};

template <typename Head, typename Parser>
Relayed relay(std::string_view octets, const Cuts& cuts, const Classifier& classifier, const RelayOptions& options,
              bool closed) {
  Direction<Head, Parser> direction{classifier, options};
  std::size_t begin = 0;
  const auto feed = [&](std::size_t end) {
    // An allocation of exactly this size, so that a sanitizer sees one octet too far.
    const std::vector<char> exact(octets.begin() + static_cast<std::ptrdiff_t>(begin),
                                  octets.begin() + static_cast<std::ptrdiff_t>(end));
    const bool on = direction.feed({{exact.data(), exact.size()}, begin});
    begin = end;
    return on;
  };
  bool on = true;
  for (const std::size_t cut : cuts) on = on && feed(cut);
  if (on) feed(octets.size());
  direction.finish(closed);
  return direction.result;
}

template <typename Relay>
Relayed all_ways(std::string_view octets, std::string& problem, Relay relay_once) {
  const Relayed expected = relay_once(Cuts{}, *classifier_of(SimdLevel::scalar));
  for (const Classifier* classifier : classifiers())
    for (const Cuts& cuts : segmentations(octets.size())) {
      const Relayed got = relay_once(cuts, *classifier);
      if (got == expected) continue;
      problem = "level " + std::to_string(static_cast<int>(classifier->level)) + ", " + std::to_string(cuts.size()) +
                " cuts, first at " + std::to_string(cuts.empty() ? 0 : cuts[0]) + ":\n" + got.text() + "instead of\n" +
                expected.text();
      return expected;
    }
  return expected;
}

}  // namespace

std::string Relayed::text() const {
  std::string out;
  for (const std::string& message : messages) out += "< " + escaped(message) + "\n";
  return out + "= " + end + "\n";
}

Relayed relay_requests(std::string_view octets, const Cuts& cuts, const Classifier& classifier,
                       const RelayOptions& options) {
  return relay<RequestHead, RequestParser>(octets, cuts, classifier, options, false);
}

Relayed relay_responses(std::string_view octets, const Cuts& cuts, const Classifier& classifier,
                        const RelayOptions& options, bool closed) {
  return relay<ResponseHead, ResponseParser>(octets, cuts, classifier, options, closed);
}

std::vector<const Classifier*> classifiers() {
  std::vector<const Classifier*> out;
  for (const SimdLevel level : {SimdLevel::scalar, SimdLevel::avx2, SimdLevel::avx512})
    if (const Classifier* found = classifier_of(level)) out.push_back(found);
  return out;
}

std::vector<Cuts> segmentations(std::size_t octets) {
  constexpr std::size_t kSingleCutsMax = 600;
  std::vector<Cuts> out{{}};
  const std::size_t step = octets / kSingleCutsMax + 1;
  for (std::size_t cut = 1; cut < octets; cut += step) out.push_back({cut});
  Cuts each;
  for (std::size_t cut = 1; cut < octets; ++cut) each.push_back(cut);
  out.push_back(std::move(each));
  return out;
}

std::uint64_t hash_of(std::string_view octets) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : octets) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

Cuts seeded_cuts(std::size_t octets, std::uint64_t seed) {
  Cuts cuts;
  if (octets < 2) return cuts;
  for (std::uint64_t i = 0, count = 2 + seed % 4; i < count; ++i) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    cuts.push_back(1 + static_cast<std::size_t>(seed >> 33) % (octets - 1));
  }
  std::sort(cuts.begin(), cuts.end());
  return cuts;
}

Relayed relay_requests_all_ways(std::string_view octets, const RelayOptions& options, std::string& problem) {
  return all_ways(octets, problem, [&](const Cuts& cuts, const Classifier& classifier) {
    return relay_requests(octets, cuts, classifier, options);
  });
}

Relayed relay_responses_all_ways(std::string_view octets, const RelayOptions& options, bool closed,
                                 std::string& problem) {
  return all_ways(octets, problem, [&](const Cuts& cuts, const Classifier& classifier) {
    return relay_responses(octets, cuts, classifier, options, closed);
  });
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto octet = static_cast<unsigned char>(c);
    if (c == '\r')
      out += "\\r";
    else if (c == '\n')
      out += "\\n";
    else if (c == '\\')
      out += "\\\\";
    else if (octet >= 0x20 && octet < 0x7f)
      out += c;
    else {
      out += "\\x";
      out += "0123456789abcdef"[octet >> 4];
      out += "0123456789abcdef"[octet & 15];
    }
  }
  return out;
}

}  // namespace penstock::http1::test
