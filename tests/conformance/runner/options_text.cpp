#include "tests/conformance/runner/options_text.h"

namespace penstock::script {
namespace {

using Kind = Option::Kind;

Option read_one(std::uint8_t kind, ByteView body) {
  const auto word = [&](std::size_t at) { return load_be<std::uint32_t>(body, at).host(); };
  Option out;
  out.kind = Kind::other;
  out.a = kind;
  if (kind == 2 && body.size() == 2) {
    out.kind = Kind::mss;
    out.a = load_be<std::uint16_t>(body, 0).host();
  } else if (kind == 3 && body.size() == 1) {
    out.kind = Kind::window_scale;
    out.a = std::to_integer<std::uint32_t>(body[0]);
  } else if (kind == 4 && body.empty()) {
    out.kind = Kind::sack_permitted;
    out.a = 0;
  } else if (kind == 5 && body.size() % 8 == 0) {
    out.kind = Kind::sack;
    out.a = 0;
    for (std::size_t at = 0; at < body.size(); at += 8) out.blocks.emplace_back(word(at), word(at + 4));
  } else if (kind == 8 && body.size() == 8) {
    out.kind = Kind::timestamps;
    out.a = word(0);
    out.b = word(4);
  }
  return out;
}

class Writer {
 public:
  void octet(std::uint32_t value) {
    if (out_.octets < tcp::kOptionOctetsMax)
      out_.bytes[out_.octets++] = static_cast<std::byte>(value & 0xff);
    else
      full_ = true;
  }
  void word(std::uint32_t value) { octet(value >> 24), octet(value >> 16), octet(value >> 8), octet(value); }
  std::optional<tcp::OptionBytes> done() {
    while (out_.octets % 4 != 0) octet(0);
    if (full_) return std::nullopt;
    return out_;
  }

 private:
  tcp::OptionBytes out_;
  bool full_{};
};

std::string text_of(const Option& option) {
  switch (option.kind) {
    case Kind::end:
      return "eol";
    case Kind::nop:
      return "nop";
    case Kind::mss:
      return "mss " + std::to_string(option.a);
    case Kind::window_scale:
      return "wscale " + std::to_string(option.a);
    case Kind::sack_permitted:
      return "sackOK";
    case Kind::timestamps:
      return "TS val " + std::to_string(option.a) + " ecr " + std::to_string(option.b);
    case Kind::fast_open:
      return "FO";
    case Kind::other:
      return "kind " + std::to_string(option.a);
    case Kind::sack:
      break;
  }
  std::string out = "sack";
  for (const auto& [start, end] : option.blocks) out += " " + std::to_string(start) + ":" + std::to_string(end);
  return out;
}

}  // namespace

std::vector<Option> decode(ByteView bytes) {
  std::vector<Option> out;
  for (std::size_t at = 0; at < bytes.size();) {
    const auto kind = std::to_integer<std::uint8_t>(bytes[at]);
    if (kind <= 1) {
      Option& plain = out.emplace_back();
      plain.kind = kind == 0 ? Kind::end : Kind::nop;
      ++at;
      continue;
    }
    const std::size_t length = at + 1 < bytes.size() ? std::to_integer<std::size_t>(bytes[at + 1]) : 0;
    if (length < 2 || at + length > bytes.size()) {
      Option& broken = out.emplace_back();
      broken.kind = Kind::other;
      broken.a = kind;
      break;
    }
    out.push_back(read_one(kind, bytes.subspan(at + 2, length - 2)));
    at += length;
  }
  return out;
}

std::optional<tcp::OptionBytes> encode(const std::vector<Option>& options) {
  Writer write;
  for (const Option& option : options) switch (option.kind) {
      case Kind::end:
        write.octet(0);
        break;
      case Kind::nop:
        write.octet(1);
        break;
      case Kind::mss:
        write.octet(2), write.octet(4), write.octet(option.a >> 8), write.octet(option.a);
        break;
      case Kind::window_scale:
        write.octet(3), write.octet(3), write.octet(option.a);
        break;
      case Kind::sack_permitted:
        write.octet(4), write.octet(2);
        break;
      case Kind::sack:
        write.octet(5), write.octet(static_cast<std::uint32_t>(2 + 8 * option.blocks.size()));
        for (const auto& [start, end] : option.blocks) write.word(start), write.word(end);
        break;
      case Kind::timestamps:
        write.octet(8), write.octet(10), write.word(option.a), write.word(option.b);
        break;
      case Kind::fast_open:
        write.octet(34), write.octet(2 + option.b);
        for (std::uint32_t i = 0; i < option.b; ++i) write.octet(0);
        break;
      case Kind::other:
        if (option.raw.empty()) return std::nullopt;
        write.octet(option.a), write.octet(static_cast<std::uint32_t>(2 + option.raw.size() / 2));
        for (std::size_t i = 0; i + 1 < option.raw.size(); i += 2)
          write.octet(static_cast<std::uint32_t>(std::strtoul(option.raw.substr(i, 2).c_str(), nullptr, 16)));
        break;
    }
  return write.done();
}

std::string text_of(const std::vector<Option>& options) {
  std::string out = "<";
  for (const Option& option : options) out += (out.size() > 1 ? "," : "") + text_of(option);
  return out + ">";
}

}  // namespace penstock::script
