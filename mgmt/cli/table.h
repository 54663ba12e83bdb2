// table.h - columns of text for a terminal.
#pragma once
#include <string>
#include <vector>

namespace penstock::cli {

class Table {
 public:
  /// A name that starts with '>' makes a right-aligned column.
  explicit Table(std::vector<std::string> columns);
  void add(std::vector<std::string> row);
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  /// Header and rows, columns as wide as their content, no trailing blanks.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::string> names_;
  std::vector<bool> right_;
  std::vector<std::vector<std::string>> rows_;
};

/// 1234567 -> "1.23M"; exact below 10000.
[[nodiscard]] std::string short_count(std::uint64_t value);
/// Milliseconds -> "350ms", "12s", "3m10s", "2h5m", "3d4h".
[[nodiscard]] std::string duration_text(std::uint64_t milliseconds);

}  // namespace penstock::cli
