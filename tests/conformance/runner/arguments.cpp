#include "tests/conformance/runner/arguments.h"

#include <algorithm>

namespace penstock::script {
namespace {

constexpr std::uint16_t kServicePort = 8080;

}  // namespace

std::int64_t number_of(const Call& call, std::size_t i, std::int64_t otherwise) {
  if (i >= call.arguments.size() || !call.arguments[i].is(Value::Kind::number)) return otherwise;
  return call.arguments[i].number;
}

std::string name_of(const Call& call, std::size_t i) {
  if (i >= call.arguments.size()) return "";
  const Value& value = call.arguments[i];
  return value.is(Value::Kind::number) ? std::to_string(value.number) : value.text;
}

bool has_flag(const std::string& flags, std::string_view one) {
  std::size_t at = flags.find(one);
  for (; at != std::string::npos; at = flags.find(one, at + 1)) {
    const std::size_t end = at + one.size();
    if ((at == 0 || flags[at - 1] == '|') && (end == flags.size() || flags[end] == '|')) return true;
  }
  return false;
}

bool only_flags(const std::string& flags, std::initializer_list<std::string_view> known) {
  for (std::size_t at = 0; at < flags.size();) {
    const std::size_t end = std::min(flags.find('|', at), flags.size());
    const std::string_view one = std::string_view{flags}.substr(at, end - at);
    if (one != "0" && std::find(known.begin(), known.end(), one) == known.end()) return false;
    at = end + 1;
  }
  return true;
}

const Value* field_of(const Value& record, std::string_view name) {
  for (const auto& [key, what] : record.fields)
    if (key == name) return &what;
  return nullptr;
}

std::uint16_t port_of(const Call& call, std::size_t i) {
  if (i >= call.arguments.size()) return kServicePort;
  for (const std::string_view name : {"sin_port", "sin6_port"})
    if (const Value* port = field_of(call.arguments[i], name))
      return static_cast<std::uint16_t>(port->items.empty() ? port->number : port->items[0].number);
  return kServicePort;
}

std::int64_t vector_octets(const Value& vector) {
  std::int64_t sum = 0;
  for (const Value& piece : vector.items) {
    if (const Value* length = field_of(piece, "iov_len")) {
      sum += length->number;
    } else if (!piece.fields.empty()) {
      sum += std::strtoll(piece.fields.back().key.c_str(), nullptr, 10);
    }
  }
  return sum;
}

const Value& inside(const Value& value) {
  return value.is(Value::Kind::list) && !value.items.empty() ? value.items[0] : value;
}

}  // namespace penstock::script
