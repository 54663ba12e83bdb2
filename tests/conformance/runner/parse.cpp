// Events of a script: times, packets, ICMP messages, calls.
#include <array>

#include "tests/conformance/runner/reader.h"

namespace penstock::script {
namespace {

constexpr std::size_t kEventsMax = 20000;
constexpr int kDepthMax = 16;

class Parser {
 public:
  Parser(std::string_view text, std::string_view defined) : in_{text, script_.directives, defined} {}

  std::variant<Script, Refusal> run() {
    while (!in_.done() && !in_.failed()) {
      if (in_.take("--"))
        option();
      else
        event();
      if (script_.events.size() > kEventsMax) in_.fail("too many events");
    }
    if (in_.unclosed()) in_.fail("#ifdef without #endif");
    if (in_.refusal()) return *in_.refusal();
    if (script_.events.empty()) return Refusal{in_.line(), "no events"};
    return std::move(script_);
  }

 private:
  void option() {
    const int line = in_.line();
    const std::string key = in_.until("=");
    script_.options.push_back({line, key, in_.take("=") ? in_.until("") : "1"});
  }

  void event() {
    Event out;
    out.line = in_.line();
    if (in_.peek() == '`' || in_.sees("%{"))
      out.when = When{};  // at once
    else
      out.when = when();
    const char next = in_.peek();
    out.line = in_.line();
    if (next == '`') {
      in_.take("`");
      out.what = Shell{in_.block("`")};
    } else if (in_.take("%{")) {
      out.what = Assertions{in_.block("}%")};
    } else if (next == '<' || next == '>') {
      packet_or_icmp(out);
    } else {
      out.what = call();
    }
    if (!in_.failed()) script_.events.push_back(std::move(out));
  }

  When when() {
    When out;
    if (in_.take("*")) {
      out.kind = When::Kind::any;
      return out;
    }
    out.kind = in_.take("+") ? When::Kind::relative : When::Kind::absolute;
    out.us = in_.seconds();
    if (in_.take("...") || in_.take("~")) {
      in_.take("+");
      out.end_us = in_.seconds();
    }
    return out;
  }

  void packet_or_icmp(Event& out) {
    const bool inbound = in_.take("<");
    if (!inbound) in_.expect(">");
    std::uint8_t ecn = 0;
    std::string quotation;
    while (in_.take("[") && !in_.failed()) {
      if (in_.sees_number())
        quotation = in_.block("]");
      else
        ecn = ip_field(in_.block("]"));
    }
    if (in_.peek() == '(') return in_.fail("encapsulation or IP header fields");
    if (in_.sees("icmp")) {
      Icmp message = icmp(inbound);
      if (!quotation.empty()) quote(message, quotation);
      out.what = std::move(message);
      return;
    }
    if (!quotation.empty()) return in_.fail("quotation [" + quotation + "]");
    for (const std::string_view other : {"sctp", "udp", "udplite", "ipv4", "ipv6", "gre", "mpls"})
      if (in_.sees(other)) return in_.fail("a packet of " + std::string{other});
    Packet packet = tcp(inbound);
    packet.ecn = ecn;
    out.what = std::move(packet);
  }

  std::uint8_t ip_field(const std::string& text) {
    constexpr std::array<std::pair<std::string_view, std::uint8_t>, 6> kKnown{
        {{"noecn", 0}, {"ect0", 2}, {"ect1", 1}, {"ce", 3}, {"ect01", 2}, {"ecn 0", 0}}};
    for (const auto& [name, value] : kKnown)
      if (text == name) return value;
    in_.fail("IP header field [" + text + "]");
    return 0;
  }

  Packet tcp(bool inbound) {
    Packet out;
    out.inbound = inbound;
    const std::string flags = in_.until("");
    constexpr std::string_view kLetters = "FSRP.UEW";
    for (const char letter : flags) {
      const std::size_t bit = kLetters.find(letter);
      out.accurate = out.accurate || letter == 'A';
      if (letter == 'A') continue;
      if (bit == std::string_view::npos && letter != '-') in_.fail("flags '" + flags + "'");
      if (bit != std::string_view::npos) out.flags = static_cast<std::uint8_t>(out.flags | 1u << bit);
    }
    out.any_seq = in_.take("...");
    if (!out.any_seq) out.seq = in_.number32();
    if (!out.any_seq) in_.expect(":");
    const std::uint32_t end = out.any_seq ? 0 : in_.number32();
    in_.expect("(");
    out.octets = in_.number32();
    in_.expect(")");
    if (out.any_seq && inbound) in_.fail("an arriving packet without number");
    if (!in_.failed() && !out.any_seq && end != out.seq + out.octets) in_.fail("numbers and length do not agree");
    if (out.octets > 65000) in_.fail("a packet above 65,000 octets");
    if (in_.take("ack")) out.ack = in_.number32();
    if (in_.take("win")) out.window = static_cast<std::uint16_t>(in_.number32());
    if (in_.take("urg")) out.urgent = static_cast<std::uint16_t>(in_.number32());
    if (in_.sees("<")) options(out);  // the next packet would have a time before it
    if (in_.sees("/")) in_.fail("encapsulation '" + in_.until("") + "'");
    if (in_.sees("{")) in_.fail("fuzzing of packets");
    return out;
  }

  void options(Packet& out) {
    in_.take("<");
    if (in_.take("...")) {
      out.any_options = true;
      return in_.expect(">");
    }
    while (!in_.take(">") && !in_.failed()) {
      out.options.push_back(tcp_option());
      in_.take(",");
    }
  }

  Option tcp_option() {
    Option out;
    if (in_.take("nop")) return out;
    if (in_.take("eol")) {
      out.kind = Option::Kind::end;
    } else if (in_.take("mss")) {
      out.kind = Option::Kind::mss;
      out.a = in_.number32();
    } else if (in_.take("wscale")) {
      out.kind = Option::Kind::window_scale;
      out.a = in_.number32();
    } else if (in_.take("sackOK")) {
      out.kind = Option::Kind::sack_permitted;
    } else if (in_.take("sack")) {
      out.kind = Option::Kind::sack;
      while (in_.sees_number() && !in_.failed()) {
        const std::uint32_t start = in_.number32();
        in_.expect(":");
        out.blocks.emplace_back(start, in_.number32());
      }
      if (out.blocks.size() > 4) in_.fail("more than four SACK blocks");
    } else if (in_.take("TS")) {
      out.kind = Option::Kind::timestamps;
      in_.expect("val");
      out.any = in_.take("...");
      if (!out.any) out.a = in_.number32();
      in_.expect("ecr");
      out.b = in_.number32();
    } else if (in_.take("FO")) {
      out.kind = Option::Kind::fast_open;
      const std::string cookie = in_.until(",>");
      constexpr std::uint32_t kCookieOctets = 8, kCookieOctetsMax = 16;
      out.b = cookie == "TFO_COOKIE" ? kCookieOctets : static_cast<std::uint32_t>(cookie.size() / 2);
      if (out.b > kCookieOctetsMax) in_.fail("a fast open cookie above 16 octets");
    } else if (in_.take("md5")) {
      constexpr std::uint32_t kMd5 = 19, kDigits = 32;
      out.kind = Option::Kind::other;
      out.a = kMd5;
      out.raw = in_.until(",>");
      if (out.raw.size() != kDigits || out.raw.find_first_not_of("0123456789abcdefABCDEF") != std::string::npos)
        in_.fail("an MD5 digest is 32 hex digits");
    } else {
      in_.fail("TCP option '" + in_.until(",>") + "'");
    }
    return out;
  }

  Icmp icmp(bool inbound) {
    Icmp out;
    out.inbound = inbound;
    const std::string family = in_.name();
    out.v4 = family == "icmpv4";
    out.v6 = family == "icmpv6";
    while (!in_.failed()) {
      const char next = in_.peek();
      if (next == '[') {
        in_.take("[");
        quote(out, in_.block("]"));
        break;
      }
      if (in_.take("mtu")) {
        out.mtu = in_.number32();
        continue;
      }
      const bool letter = (next >= 'a' && next <= 'z') || next == '_';
      if (!letter || !out.code.empty()) break;
      (out.type.empty() ? out.type : out.code) = in_.name();
    }
    return out;
  }

  void quote(Icmp& out, const std::string& text) {
    std::vector<Setting> none;
    Reader quoted{text, none};
    while (!quoted.done() && !quoted.sees_number()) quoted.until("");
    if (quoted.done()) return in_.fail("quotation [" + text + "]");
    out.quoted = quoted.number32();
  }

  Call call() {
    Call out;
    out.name = in_.name();
    if (out.name.empty()) {
      in_.fail("expected an event, found '" + in_.until("").substr(0, 20) + "'");
      return out;
    }
    if (in_.sees("<") || in_.sees(">")) in_.fail("a packet in another dialect: " + out.name);
    in_.expect("(");
    while (!in_.take(")") && !in_.failed()) {
      out.arguments.push_back(value(0));
      if (!in_.sees(")")) in_.expect(",");
    }
    in_.expect("=");
    out.result = value(0);
    const char next = in_.peek();
    if (next == 'E') out.error = in_.name();
    if (in_.take("(")) in_.block(")");  // a remark
    return out;
  }

  Value value(int depth) {
    Value out = single(depth);
    while (in_.take("|") && !in_.failed()) {
      const Value more = single(depth);
      if (out.is(Value::Kind::name) && more.is(Value::Kind::name))
        out.text += "|" + more.text;
      else
        in_.fail("an expression of other than names");
    }
    return out;
  }

  Value single(int depth) {
    Value out;
    if (depth > kDepthMax) in_.fail("nested too deeply");
    if (in_.take("...")) return out;
    if (in_.sees_number()) {
      out.kind = Value::Kind::number;
      out.number = in_.number();
    } else if (in_.peek() == '"') {
      out.kind = Value::Kind::text;
      out.text = in_.quoted();
    } else if (in_.take("[")) {
      out.kind = Value::Kind::list;
      while (!in_.take("]") && !in_.failed()) {
        out.items.push_back(value(depth + 1));
        in_.take(",");
      }
    } else if (in_.take("{")) {
      out.kind = Value::Kind::record;
      while (!in_.take("}") && !in_.failed()) field(out, depth);
    } else {
      named(out, depth);
    }
    return out;
  }

  void field(Value& into, int depth) {
    if (in_.peek() == '{') {  // a list of records
      into.items.push_back(value(depth + 1));
    } else {
      std::string key = in_.take("...") ? "..." : in_.sees_number() ? std::to_string(in_.number()) : in_.name();
      Value what;
      if (in_.take("(")) in_.block(")");  // a length: msg_iov(1)
      if (in_.take("="))
        what = value(depth + 1);
      else if (key.empty())
        in_.fail("expected a field");
      into.fields.push_back({std::move(key), std::move(what)});
    }
    in_.take(",");
  }

  void named(Value& out, int depth) {
    out.kind = Value::Kind::name;
    out.text = in_.name();
    if (out.text.empty()) return in_.fail("expected a value, found '" + in_.until("").substr(0, 20) + "'");
    if (!in_.take("(")) return;
    out.text += "(...)";
    while (!in_.take(")") && !in_.failed()) {
      out.items.push_back(value(depth + 1));
      in_.take(",");
    }
  }

  Script script_;
  Reader in_;
};

}  // namespace

std::variant<Script, Refusal> parse(std::string_view text, std::string_view defined) {
  return Parser{text, defined}.run();
}

}  // namespace penstock::script
