#include "l7/route/rewrite.h"

#include <algorithm>
#include <cstring>

#include "l7/route/route_config.h"

namespace penstock::route {
namespace {

/// Appends to a buffer as long as everything fits.
class Output {
 public:
  explicit Output(std::span<char> buffer) : buffer_{buffer} {}
  void put(std::string_view text) {
    if (text.size() > buffer_.size() - used_) {
      fits_ = false;
    } else if (fits_ && !text.empty()) {
      std::memcpy(buffer_.data() + used_, text.data(), text.size());
      used_ += text.size();
    }
  }
  void put_number(unsigned value) {
    char digits[10];
    std::size_t at = sizeof digits;
    do digits[--at] = static_cast<char>('0' + value % 10);
    while ((value /= 10) != 0);
    put({digits + at, sizeof digits - at});
  }
  void fail(WriteStatus status) { failure_ = status; }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::string_view since(std::size_t begin) const { return {buffer_.data() + begin, used_ - begin}; }
  [[nodiscard]] Written result() const {
    if (failure_ != WriteStatus::written) return {failure_, 0};
    return fits_ ? Written{WriteStatus::written, used_} : Written{WriteStatus::too_small, 0};
  }

 private:
  std::span<char> buffer_;
  std::size_t used_{0};
  bool fits_{true};
  WriteStatus failure_{WriteStatus::written};
};

/// `substitution` was validated: a backslash is followed by a digit or a backslash.
void put_substitution(std::string_view substitution, std::string_view text, const Captures& captures, Output& out) {
  while (!substitution.empty()) {
    const std::size_t literal = std::min(substitution.find('\\'), substitution.size());
    out.put(substitution.substr(0, literal));
    substitution.remove_prefix(literal);
    if (substitution.size() < 2) return;
    const char c = substitution[1];
    if (c == '\\') out.put("\\");
    if (c >= '0' && c <= '9') {
      const std::size_t group = static_cast<std::size_t>(c - '0');
      const std::uint16_t begin = captures[2 * group], end = captures[2 * group + 1];
      if (begin != kNoCapture && end != kNoCapture) out.put(text.substr(begin, end - begin));
    }
    substitution.remove_prefix(2);
  }
}

void put_replaced(const Program& program, std::string_view substitution, std::string_view text, Output& out,
                  ProgramScratch& scratch) {
  std::size_t steps = kRewriteStepMax;
  std::size_t at = 0, copied = 0;
  bool behind_match = false;  // does the last match end at `at`?
  while (at <= text.size()) {
    Captures captures;
    captures.fill(kNoCapture);
    const SearchStatus status = search(program, text, at, captures, scratch, steps);
    if (status == SearchStatus::too_many_steps) return out.fail(WriteStatus::too_many_steps);
    if (status == SearchStatus::not_found) break;
    const std::size_t begin = captures[0], end = captures[1];
    if (begin == end && behind_match && begin == at) {
      ++at;  // the octet passed over is copied with what follows
      behind_match = false;
      continue;
    }
    out.put(text.substr(copied, begin - copied));
    put_substitution(substitution, text, captures, out);
    copied = at = end;
    behind_match = true;
  }
  out.put(text.substr(copied));
}

void put_path(const MatchedRoute& matched, std::string_view path, Output& out, Scratch& scratch) {
  const RouteRecord& route = matched.route;
  const std::string_view rewrite = matched.host.at(route.rewrite);
  if ((route.flags & kPrefixRewrite) != 0) {
    // What a literal matched is replaced; an exact or regex match is the whole path.
    const PathKind kind{route.path_kind};
    const bool partial = kind == PathKind::prefix || kind == PathKind::segment_prefix;
    const std::size_t replaced = partial ? std::min<std::size_t>(route.path_octets, path.size()) : path.size();
    out.put(rewrite);
    out.put(path.substr(replaced));
  } else if ((route.flags & kRegexRewrite) != 0) {
    if (path.size() > kPathOctetsMax) return out.fail(WriteStatus::too_small);
    const std::size_t begin = out.used();
    put_replaced(matched.host.program(route.rewrite_program), rewrite, path, out, scratch.programs());
    if (out.result().status == WriteStatus::written && !out.since(begin).starts_with('/'))
      out.fail(WriteStatus::bad_path);
  } else {
    out.put(path);
  }
}

/// Position of the ':' before a port, or the end. Colons within [...] belong to an IPv6 address.
std::size_t port_at(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  const std::size_t bracket = host.rfind(']');
  if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket)) return host.size();
  return colon;
}

}  // namespace

Written write_target(const MatchedRoute& matched, const RequestView& request, std::span<char> out, Scratch& scratch) {
  Output output{out};
  put_path(matched, request.path, output, scratch);
  output.put(request.query);
  return output.result();
}

std::string_view upstream_host(const MatchedRoute& matched, const RequestView& request) {
  const std::string_view rewritten = matched.host.at(matched.route.host);
  return rewritten.empty() ? request.host : rewritten;
}

Written write_location(const MatchedRoute& matched, const RequestView& request, std::span<char> out, Scratch& scratch) {
  const RouteRecord& route = matched.route;
  Output output{out};
  const std::string_view wanted = matched.host.at(route.scheme);
  const std::string_view scheme = wanted.empty() ? request.scheme : wanted;
  std::string_view host = matched.host.at(route.host);
  if (host.empty()) {
    host = request.host;
    const std::string_view port = host.substr(port_at(host));
    const bool own = (request.scheme == "http" && port == ":80") || (request.scheme == "https" && port == ":443");
    if (route.port != 0 || (scheme != request.scheme && own)) host.remove_suffix(port.size());
  }
  output.put(scheme);
  output.put("://");
  output.put(host);
  if (route.port != 0) {
    output.put(":");
    output.put_number(route.port);
  }
  const std::string_view whole = matched.host.at(route.rewrite);
  const bool path_redirect = (route.flags & kPathRedirect) != 0;
  if (path_redirect)
    output.put(whole);
  else
    put_path(matched, request.path, output, scratch);
  const bool brings_query = path_redirect && whole.find('?') != std::string_view::npos;
  if ((route.flags & kStripQuery) == 0 && !brings_query) output.put(request.query);
  return output.result();
}

DirectView direct_response(const MatchedRoute& matched) {
  return {matched.route.status, matched.host.at(matched.route.body)};
}

Written replace_all(const Program& program, std::string_view substitution, std::string_view text, std::span<char> out,
                    ProgramScratch& scratch) {
  Output output{out};
  put_replaced(program, substitution, text, output, scratch);
  return output.result();
}

}  // namespace penstock::route
