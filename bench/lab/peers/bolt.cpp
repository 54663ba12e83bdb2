#include "bench/lab/peers/bolt.h"

namespace penstock::lab::bolt {
namespace {

constexpr std::uint8_t kProtocol = 1, kVersion = 1, kHessian2 = 1;
constexpr std::uint8_t kAnswer = 0, kRequest = 1;
constexpr std::uint32_t kHeartbeat = 0, kCall = 1, kCallAnswer = 2;  // command codes
constexpr std::size_t kRequestHead = 22, kAnswerHead = 20;
constexpr std::size_t kIdAt = 5;
constexpr std::uint32_t kTimeoutMs = 3000;
constexpr std::string_view kRequestClass = "com.alipay.sofa.rpc.core.request.SofaRequest";
constexpr std::string_view kAnswerClass = "com.alipay.sofa.rpc.core.response.SofaResponse";
constexpr std::string_view kKey = "service", kService = "org.example.Lab:1.0";

std::uint32_t get(std::string_view octets, std::size_t at, std::size_t count) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < count; ++i) value = value << 8 | static_cast<std::uint8_t>(octets[at + i]);
  return value;
}

void put(std::string& out, std::size_t value, std::size_t count) {
  for (std::size_t i = count; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i)));
}

void put_word(std::string& out, std::string_view word) {
  put(out, word.size(), 4);
  out += word;
}

std::string head(std::uint8_t type, std::uint32_t command, std::uint32_t id) {
  std::string out;
  put(out, kProtocol, 1);
  put(out, type, 1);
  put(out, command, 2);
  put(out, kVersion, 1);
  put(out, id, 4);
  put(out, kHessian2, 1);
  return out;
}

}  // namespace

Shape shape_of(std::string_view octets) {
  Shape found;
  if (octets.empty()) return found;
  found.broken = get(octets, 0, 1) != kProtocol || (octets.size() > 1 && get(octets, 1, 1) > kRequest);
  if (found.broken || octets.size() < 2) return found;
  found.is_answer = get(octets, 1, 1) == kAnswer;
  const std::size_t fixed = found.is_answer ? kAnswerHead : kRequestHead;
  if (octets.size() < fixed) return found;
  const std::uint32_t command = get(octets, 2, 2);
  found.kind = command == kHeartbeat ? Kind::heartbeat : Kind::call;
  found.id = get(octets, kIdAt, 4);
  found.status = found.is_answer ? static_cast<std::uint16_t>(get(octets, 10, 2)) : std::uint16_t{0};
  found.content_octets = get(octets, fixed - 4, 4);
  const std::uint32_t wanted = found.is_answer ? kCallAnswer : kCall;
  found.broken = (found.kind == Kind::call && command != wanted) || found.content_octets > kContentMax;
  if (found.broken) return found;
  const std::size_t whole = fixed + get(octets, fixed - 8, 2) + get(octets, fixed - 6, 2) + found.content_octets;
  if (octets.size() >= whole) found.octets = whole;
  return found;
}

std::string request(Kind kind, std::uint32_t id, std::size_t content_octets) {
  std::string out = head(kRequest, kind == Kind::heartbeat ? kHeartbeat : kCall, id);
  put(out, kTimeoutMs, 4);
  if (kind == Kind::heartbeat) {
    put(out, 0, 8);
    return out;
  }
  std::string pairs;
  put_word(pairs, kKey);
  put_word(pairs, kService);
  put(out, kRequestClass.size(), 2);
  put(out, pairs.size(), 2);
  put(out, content_octets, 4);
  out += kRequestClass;
  out += pairs;
  return out.append(content_octets, 'q');
}

std::string answer(const Shape& to) {
  std::string out = head(kAnswer, to.kind == Kind::heartbeat ? kHeartbeat : kCallAnswer, to.id);
  put(out, 0, 2);  // status: success
  if (to.kind == Kind::heartbeat) {
    put(out, 0, 8);
    return out;
  }
  put(out, kAnswerClass.size(), 2);
  put(out, 0, 2);
  put(out, to.content_octets, 4);
  out += kAnswerClass;
  return out.append(to.content_octets, 'a');
}

}  // namespace penstock::lab::bolt
