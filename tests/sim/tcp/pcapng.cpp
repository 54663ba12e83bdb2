#include "tests/sim/tcp/pcapng.h"

#include <cstring>
#include <fstream>

namespace penstock::tcpsim {

void Pcapng::word(std::uint32_t value) {
  for (int i = 0; i < 4; ++i) out_.push_back(static_cast<std::byte>(value >> (8 * i) & 0xff));
}

Pcapng::Pcapng() {
  word(0x0a0d0d0a), word(28), word(0x1a2b3c4d), word(0x00000001), word(0xffffffff), word(0xffffffff), word(28);
  word(1), word(20), word(101), word(0), word(20);  // LINKTYPE_RAW, microseconds
}

void Pcapng::option_text(std::uint16_t code, const std::string& text) {
  word(static_cast<std::uint32_t>(code | text.size() << 16));
  for (const char c : text) out_.push_back(static_cast<std::byte>(c));
  while (out_.size() % 4 != 0) out_.push_back(std::byte{0});
}

void Pcapng::packet(std::uint64_t at_us, ByteView bytes, const std::string& comment) {
  const std::size_t start = out_.size();
  word(6), word(0), word(0), word(static_cast<std::uint32_t>(at_us >> 32)), word(static_cast<std::uint32_t>(at_us));
  word(static_cast<std::uint32_t>(bytes.size())), word(static_cast<std::uint32_t>(bytes.size()));
  out_.insert(out_.end(), bytes.begin(), bytes.end());
  while (out_.size() % 4 != 0) out_.push_back(std::byte{0});
  if (!comment.empty()) option_text(1, comment), word(0);
  const auto length = static_cast<std::uint32_t>(out_.size() - start + 4);
  word(length);
  for (int i = 0; i < 4; ++i)
    out_[start + 4 + static_cast<std::size_t>(i)] = static_cast<std::byte>(length >> (8 * i) & 0xff);
}

bool Pcapng::write_file(const std::string& path) const {
  std::ofstream file{path, std::ios::binary};
  std::string bytes(out_.size(), '\0');
  std::memcpy(bytes.data(), out_.data(), out_.size());
  file << bytes;
  return file.good();
}

}  // namespace penstock::tcpsim
