#include "l7/http1/serialise.h"

#include <algorithm>

#include <array>

#include "l7/http1/chars.h"
#include "l7/http1/target.h"

namespace penstock::http1 {

namespace {

constexpr std::string_view kCrlf = "\r\n";

void put_field(std::string_view name, std::string_view value, stream::Writer& out) {
  out.put(name);
  out.put(": ");
  out.put(value);
  out.put(kCrlf);
}

/// Copies fields, and joins those that stand one behind the other in the form that we would write.
class FieldCopier {
 public:
  FieldCopier(std::string_view text, stream::Writer& out) : text_{text}, out_{&out} {}
  void copy(const Field& field) {
    const std::size_t begin = field.name.at, value = field.value.at, end = value + std::size_t{field.value.octets};
    const std::size_t name_end = begin + std::size_t{field.name.octets};
    // "name: value" CRLF: one space, nothing behind the value. An empty value may stand right behind the colon.
    if (value != name_end + 2 || text_[name_end + 1] != ' ' || text_[end] != '\r') {
      flush();
      put_field(field.name.in(text_), field.value.in(text_), *out_);
      return;
    }
    if (begin != run_end_) {
      flush();
      run_begin_ = begin;
    }
    run_end_ = end + 2;
  }
  void flush() {
    if (run_end_ > run_begin_) out_->put(text_.substr(run_begin_, run_end_ - run_begin_));
    run_begin_ = run_end_ = 0;
  }

 private:
  std::string_view text_;
  stream::Writer* out_;
  std::size_t run_begin_{}, run_end_{};
};

/// Looking a name up ignores a bit of each octet, so a name that is known need not be a token.
bool sound(const HeaderEdit& edit, KnownField known) {
  const bool edges = !edit.value.empty() && (is_space(edit.value.front()) || is_space(edit.value.back()));
  return is_token(edit.name) && all(edit.value, kValueChar) && !edges && (use_of(known) & (kOurs | kHopByHop)) == 0;
}

/// Edits with their names looked up once.
class Edits {
 public:
  /// False when one of them is not sound.
  [[nodiscard]] bool load(std::span<const HeaderEdit> edits) {
    if (edits.size() > kEditMax) return false;
    edits_ = edits;
    for (std::size_t i = 0; i < edits.size(); ++i) {
      known_[i] = known_field(edits[i].name);
      if (!sound(edits[i], known_[i])) return false;
    }
    return true;
  }
  /// Does an edit take this field away?
  [[nodiscard]] bool drops(std::string_view text, const Field& field) const {
    for (std::size_t i = 0; i < edits_.size(); ++i)
      if (edits_[i].op != HeaderEdit::Op::add && known_[i] == field.known &&
          (field.known != KnownField::unknown || same_folded(edits_[i].name, field.name.in(text))))
        return true;
    return false;
  }
  /// Does an edit say something about this field?
  [[nodiscard]] bool names(KnownField field) const {
    const std::span<const KnownField> known = std::span{known_}.first(edits_.size());
    return std::find(known.begin(), known.end(), field) != known.end();
  }
  void put_new(stream::Writer& out) const {
    for (const HeaderEdit& edit : edits_)
      if (edit.op != HeaderEdit::Op::remove) put_field(edit.name, edit.value, out);
  }

 private:
  std::span<const HeaderEdit> edits_;
  std::array<KnownField, kEditMax> known_;
};

/// Everything that passes, then what the edits add.
void put_fields(std::string_view text, const FieldTable& fields, const Edits& edits, stream::Writer& out) {
  FieldCopier copier{text, out};
  for (std::uint32_t i = 0; i < fields.count; ++i) {
    const Field& field = fields.fields[i];
    if ((field.use & (kHopByHop | kOurs | kDropped)) == 0 && !edits.drops(text, field)) copier.copy(field);
  }
  copier.flush();
  edits.put_new(out);
}

void put_framing(const Framing& framing, std::string_view text, const FieldTable& fields, stream::Writer& out) {
  if (framing.kind == BodyKind::chunked) {
    out.put("Transfer-Encoding: chunked\r\n");
    if (fields.has(KnownField::trailer)) put_field("Trailer", fields.at(KnownField::trailer).value.in(text), out);
  } else if (framing.has_content_length) {
    out.put("Content-Length: ");
    out.put_decimal(framing.content_length);
    out.put(kCrlf);
  }
}

/// Connection with the options that are set.
class ConnectionLine {
 public:
  explicit ConnectionLine(stream::Writer& out) : out_{&out} {}
  void add(bool set, std::string_view option) {
    if (!set) return;
    out_->put(any_ ? ", " : "Connection: ");
    out_->put(option);
    any_ = true;
  }
  void end() {
    if (any_) out_->put(kCrlf);
  }

 private:
  stream::Writer* out_;
  bool any_{};
};

void put_via(std::string_view pseudonym, std::uint8_t minor, stream::Writer& out) {
  if (pseudonym.empty()) return;
  out.put(minor == 0 ? "Via: 1.0 " : "Via: 1.1 ");
  out.put(pseudonym);
  out.put(kCrlf);
}

void put_target(const RequestHead& head, const HttpValidationPolicy& policy, std::string_view rewrite,
                stream::Writer& out) {
  if (head.form == TargetForm::authority || head.form == TargetForm::asterisk)
    return out.put(head.target.in(head.text));
  if (!rewrite.empty()) return out.put(rewrite);
  const std::string_view path = head.path.in(head.text), query = head.query.in(head.text);
  if (path.empty()) {
    // RFC 9112 s3.2.4: OPTIONS of a whole server is an asterisk again.
    out.put(head.method == Method::options && query.empty() ? '*' : '/');
  } else if (head.path_needs_normalising && out.spare().size() >= path.size()) {
    out.advance(normalise_path(path, policy, out.spare()).size());
  } else {
    out.put(path);  // overflows when it was to be normalised
  }
  out.put(query);
}

}  // namespace

bool is_sound(const HeaderEdit& edit) { return sound(edit, known_field(edit.name)); }

WriteStatus write_request(const RequestHead& head, const HttpValidationPolicy& policy, const RequestRewrite& rewrite,
                          stream::Writer& out) {
  Edits edits;
  if (!edits.load(rewrite.edits)) return WriteStatus::bad_edit;
  if (!all(rewrite.target, kUriChar)) return WriteStatus::bad_edit;
  if (!rewrite.host.empty() && check_authority(rewrite.host, false, false) != RejectReason::none)
    return WriteStatus::bad_edit;
  const std::string_view host = rewrite.host.empty() ? head.authority.in(head.text) : rewrite.host;
  if (host.empty() || !all(rewrite.via, kHostChar | kTokenChar)) return WriteStatus::bad_edit;

  out.put(head.method_text.in(head.text));
  out.put(' ');
  put_target(head, policy, rewrite.target, out);
  out.put(" HTTP/1.1\r\n");
  put_field("Host", host, out);
  put_fields(head.text, head.fields, edits, out);
  put_framing(head.framing, head.text, head.fields, out);
  if (head.expect_continue) out.put("Expect: 100-continue\r\n");
  if (head.te_trailers) out.put("TE: trailers\r\n");
  if (head.upgrade != 0) put_field("Upgrade", policy.upgrade_tokens[head.upgrade - std::size_t{1}], out);
  ConnectionLine connection{out};
  connection.add(head.te_trailers, "TE");
  connection.add(head.upgrade != 0, "upgrade");
  connection.add(rewrite.close, "close");
  connection.end();
  put_via(rewrite.via, head.minor, out);
  out.put(kCrlf);
  return out.ok() ? WriteStatus::ok : WriteStatus::no_room;
}

Framing outgoing_framing(const Framing& received, std::uint8_t client_minor) {
  const bool unknown_length = received.kind == BodyKind::chunked || received.kind == BodyKind::until_close;
  if (!unknown_length) return received;
  return {.kind = client_minor == 1 ? BodyKind::chunked : BodyKind::until_close};
}

WriteStatus write_response(const ResponseHead& head, const HttpValidationPolicy& policy, const ResponseRewrite& rewrite,
                           stream::Writer& out) {
  Edits edits;
  if (!edits.load(rewrite.edits) || !all(rewrite.via, kHostChar | kTokenChar)) return WriteStatus::bad_edit;
  const bool switching = head.upgrade != 0;
  const bool interim = head.status < 200 || rewrite.framing.kind == BodyKind::tunnel;
  out.put("HTTP/1.1 ");
  out.put_decimal(head.status);
  out.put(' ');
  out.put(head.reason.in(head.text));
  out.put(kCrlf);
  put_fields(head.text, head.fields, edits, out);
  const bool dateless = head.status >= 200 && !head.fields.has(KnownField::date) && !edits.names(KnownField::date);
  if (dateless && !rewrite.date.empty()) put_field("Date", rewrite.date, out);
  put_framing(rewrite.framing, head.text, head.fields, out);
  if (switching) put_field("Upgrade", policy.upgrade_tokens[head.upgrade - std::size_t{1}], out);
  ConnectionLine connection{out};
  connection.add(switching, "upgrade");
  connection.add(!interim && !rewrite.keep_alive, "close");
  connection.add(!interim && rewrite.keep_alive && rewrite.client_minor == 0, "keep-alive");
  connection.end();
  put_via(rewrite.via, head.minor, out);
  out.put(kCrlf);
  return out.ok() ? WriteStatus::ok : WriteStatus::no_room;
}

std::uint32_t write_trailers(std::string_view text, const FieldTable& trailers, stream::Writer& out) {
  std::uint32_t left_out = 0;
  FieldCopier copier{text, out};
  for (std::uint32_t i = 0; i < trailers.count; ++i) {
    const Field& field = trailers.fields[i];
    if ((field.use & (kHopByHop | kOurs | kDropped | kNoTrailer)) == 0)
      copier.copy(field);
    else
      ++left_out;
  }
  copier.flush();
  out.put(kCrlf);
  return left_out;
}

std::string_view status_phrase(std::uint16_t status) {
  struct Phrase {
    std::uint16_t status;
    std::string_view text;
  };
  static constexpr Phrase kPhrases[] = {{200, "OK"},
                                        {201, "Created"},
                                        {202, "Accepted"},
                                        {203, "Non-Authoritative Information"},
                                        {204, "No Content"},
                                        {205, "Reset Content"},
                                        {206, "Partial Content"},
                                        {300, "Multiple Choices"},
                                        {301, "Moved Permanently"},
                                        {302, "Found"},
                                        {303, "See Other"},
                                        {304, "Not Modified"},
                                        {307, "Temporary Redirect"},
                                        {308, "Permanent Redirect"},
                                        {400, "Bad Request"},
                                        {401, "Unauthorized"},
                                        {402, "Payment Required"},
                                        {403, "Forbidden"},
                                        {404, "Not Found"},
                                        {405, "Method Not Allowed"},
                                        {406, "Not Acceptable"},
                                        {407, "Proxy Authentication Required"},
                                        {408, "Request Timeout"},
                                        {409, "Conflict"},
                                        {410, "Gone"},
                                        {411, "Length Required"},
                                        {412, "Precondition Failed"},
                                        {413, "Content Too Large"},
                                        {414, "URI Too Long"},
                                        {415, "Unsupported Media Type"},
                                        {416, "Range Not Satisfiable"},
                                        {417, "Expectation Failed"},
                                        {421, "Misdirected Request"},
                                        {422, "Unprocessable Content"},
                                        {426, "Upgrade Required"},
                                        {429, "Too Many Requests"},
                                        {431, "Request Header Fields Too Large"},
                                        {451, "Unavailable For Legal Reasons"},
                                        {500, "Internal Server Error"},
                                        {501, "Not Implemented"},
                                        {502, "Bad Gateway"},
                                        {503, "Service Unavailable"},
                                        {504, "Gateway Timeout"},
                                        {505, "HTTP Version Not Supported"}};
  const auto* const at =
      std::lower_bound(std::begin(kPhrases), std::end(kPhrases), status,
                       [](const Phrase& phrase, std::uint16_t wanted) { return phrase.status < wanted; });
  return at != std::end(kPhrases) && at->status == status ? at->text : std::string_view{};
}

void write_error(std::uint16_t status, std::string_view date, stream::Writer& out) {
  out.put("HTTP/1.1 ");
  out.put_decimal(status);
  out.put(' ');
  out.put(status_phrase(status));
  out.put(kCrlf);
  if (!date.empty()) put_field("Date", date, out);
  out.put("Content-Length: 0\r\nConnection: close\r\n\r\n");
}

}  // namespace penstock::http1
