// database.h - Hyperscan databases: compiled, serialised, kept.
//
// Model     one block-mode database per host over all its path expressions, every one anchored at both ends, each
//           reporting once; no combinations, no prefilter, no start of match. A database belongs to the machine's
//           instruction set.
// Units     ids are numbers of expressions.
// Errors    an expression that Hyperscan refuses is left out (in_database says so) and runs as a program; when the
//           set as a whole is refused, all are.
// Not here  loading (loaded_table.h).
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace penstock::route {

struct DatabaseImage {
  std::vector<char> octets;  ///< serialised; empty when it holds no expression
  std::vector<bool> in_database;
};

/// The same expressions, flags and library version: the same database.
[[nodiscard]] std::uint64_t database_hash(const std::vector<std::string>& expressions);
[[nodiscard]] DatabaseImage compile_database(const std::vector<std::string>& expressions);

/// Finished databases by hash; those that the last complete table did not use are forgotten.
class DatabaseCache {
 public:
  [[nodiscard]] std::shared_ptr<const DatabaseImage> find(std::uint64_t hash);
  void insert(std::uint64_t hash, std::shared_ptr<const DatabaseImage> image);
  void forget_unused();
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    std::shared_ptr<const DatabaseImage> image;
    bool used{true};
  };
  std::unordered_map<std::uint64_t, Entry> entries_;
};

}  // namespace penstock::route
