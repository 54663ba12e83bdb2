// writer.h - appends text to a caller's buffer and never past its end.
//
// Model     overflow is sticky: writers go on without checks, and ok() is asked once at the end.
// Units     octets.
// Errors    ok() is false when something did not fit; what was written before it is then of no use.
// Limits    the buffer's size.
#pragma once
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

namespace penstock::stream {

class Writer {
 public:
  explicit Writer(std::span<char> buffer) : begin_{buffer.data()}, at_{begin_}, end_{begin_ + buffer.size()} {}

  void put(std::string_view text) {
    if (text.size() > room()) [[unlikely]] {
      full_ = true;
      return;
    }
    if (!text.empty()) std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }
  void put(char octet) { put(std::string_view{&octet, 1}); }
  /// Room for a writer that fills by itself; advance() by what it wrote.
  [[nodiscard]] std::span<char> spare() { return {at_, room()}; }
  void advance(std::size_t octets) { at_ += octets; }
  void put_decimal(std::uint64_t value) { put_number(value, 10); }
  void put_hex(std::uint64_t value) { put_number(value, 16); }

  [[nodiscard]] bool ok() const { return !full_; }
  [[nodiscard]] std::string_view text() const { return {begin_, static_cast<std::size_t>(at_ - begin_)}; }

 private:
  [[nodiscard]] std::size_t room() const { return full_ ? 0 : static_cast<std::size_t>(end_ - at_); }
  void put_number(std::uint64_t value, unsigned base) {
    std::array<char, 20> digits;
    std::size_t first = digits.size();
    do digits[--first] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    put({digits.data() + first, digits.size() - first});
  }
  char* begin_;
  char* at_;
  char* end_;
  bool full_{};
};

}  // namespace penstock::stream
