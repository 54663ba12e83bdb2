#include "mgmt/cli/table.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>

namespace penstock::cli {

Table::Table(std::vector<std::string> columns) : names_{std::move(columns)} {
  for (std::string& name : names_) {
    right_.push_back(name.starts_with('>'));
    if (right_.back()) name.erase(0, 1);
  }
}

void Table::add(std::vector<std::string> row) {
  row.resize(names_.size());
  rows_.push_back(std::move(row));
}

std::string Table::text() const {
  std::vector<std::size_t> width(names_.size());
  const auto measure = [&](const std::vector<std::string>& row) {
    for (std::size_t i = 0; i < width.size(); ++i) width[i] = std::max(width[i], row[i].size());
  };
  measure(names_);
  for (const auto& row : rows_) measure(row);
  std::string out;
  const auto write = [&](const std::vector<std::string>& row) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string pad(width[i] - row[i].size(), ' ');
      line += (i == 0 ? "" : "  ") + (right_[i] ? pad + row[i] : row[i] + pad);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  write(names_);
  for (const auto& row : rows_) write(row);
  return out;
}

std::string short_count(std::uint64_t value) {
  if (value < 10'000) return std::to_string(value);
  static constexpr std::array kUnits{"", "k", "M", "G", "T", "P", "E"};
  auto scaled = static_cast<double>(value);
  std::size_t unit = 0;
  while (scaled >= 999.5 && unit + 1 < kUnits.size()) {
    scaled /= 1000;
    ++unit;
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(),
                scaled < 10    ? "%.2f%s"
                : scaled < 100 ? "%.1f%s"
                               : "%.0f%s",
                scaled, kUnits[unit]);
  return text.data();
}

std::string duration_text(std::uint64_t ms) {
  if (ms < 1000) return std::to_string(ms) + "ms";
  const std::uint64_t s = ms / 1000;
  const auto pair = [](std::uint64_t big, const char* big_unit, std::uint64_t small, const char* small_unit) {
    return std::to_string(big) + big_unit + (small > 0 ? std::to_string(small) + small_unit : "");
  };
  if (s < 60) return std::to_string(s) + "s";
  if (s < 3600) return pair(s / 60, "m", s % 60, "s");
  if (s < 86'400) return pair(s / 3600, "h", s % 3600 / 60, "m");
  return pair(s / 86'400, "d", s % 86'400 / 3600, "h");
}

}  // namespace penstock::cli
