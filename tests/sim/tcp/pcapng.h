// pcapng.h - writes the packets of a failing run so that any analyser can open them.
//
// Model     one section, one interface, raw IP link type, microsecond stamps.
// Errors    write_file() says false when the file cannot be written.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "dataplane/core/be.h"

namespace penstock::tcpsim {

class Pcapng {
 public:
  Pcapng();
  void packet(std::uint64_t at_us, ByteView bytes, const std::string& comment);
  [[nodiscard]] bool write_file(const std::string& path) const;
  /// The file so far.
  [[nodiscard]] ByteView bytes() const { return out_; }

 private:
  void word(std::uint32_t value);
  void option_text(std::uint16_t code, const std::string& text);
  std::vector<std::byte> out_;
};

}  // namespace penstock::tcpsim
