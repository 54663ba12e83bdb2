// http_question.h - what a worker asks about a request before it goes on.
//
// Model     one question per request that waits, on the worker's own ring beside control/question.h. It carries the
//           facts that its target (QuestionTargetRecord) asks for, all of them or none: a request whose facts do not
//           fit is not asked about. The answer is a control::Answer on the same ring as those to flows.
// Units     nanoseconds of CLOCK_MONOTONIC; octets.
// Shape     1024 octets. The text holds method, host, path and header lines ("name: value\r\n"), one behind the other.
// Limits    kHttpQuestionTextOctets.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

#include "dataplane/core/addresses.h"

namespace penstock::control {

/// In Question::id and Answer::question_id: it is about a request. Below it, 20 bits name the connection.
inline constexpr std::uint64_t kHttpQuestionBit = std::uint64_t{1} << 63;
inline constexpr std::size_t kHttpQuestionTextOctets = 960;

struct HttpQuestion {
  std::uint64_t id;
  std::uint64_t target;  ///< QuestionTargetRecord::id
  std::uint64_t asked_ns;
  std::uint64_t deadline_ns;
  IpAddress client;
  std::uint16_t method_octets;
  std::uint16_t host_octets;
  std::uint16_t path_octets;
  std::uint16_t header_octets;
  std::uint32_t worker;
  std::uint32_t zero;
  std::array<char, kHttpQuestionTextOctets> text;

  [[nodiscard]] std::string_view part(std::size_t begin, std::size_t octets) const {
    const std::string_view all{text.data(), text.size()};  // the writer is another process: nothing is believed
    return begin >= all.size() ? std::string_view{} : all.substr(begin, octets);
  }
  [[nodiscard]] std::string_view method() const { return part(0, method_octets); }
  [[nodiscard]] std::string_view host() const { return part(method_octets, host_octets); }
  [[nodiscard]] std::string_view path() const { return part(std::size_t{method_octets} + host_octets, path_octets); }
  [[nodiscard]] std::string_view headers() const {
    return part(std::size_t{method_octets} + host_octets + path_octets, header_octets);
  }
};
static_assert(sizeof(HttpQuestion) == 1024);

}  // namespace penstock::control
