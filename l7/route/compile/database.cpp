#include "l7/route/compile/database.h"

#include <hs/hs.h>

#include <cstring>
#include <optional>
#include <span>

#include "dataplane/control/hash.h"

namespace penstock::route {
namespace {

// An expression may match the empty path; each reports once; '.' never occurs in what emit_hyperscan() writes.
constexpr unsigned kFlags = HS_FLAG_SINGLEMATCH | HS_FLAG_ALLOWEMPTY;

using Database = std::unique_ptr<hs_database_t, decltype(&hs_free_database)>;
using CompileError = std::unique_ptr<hs_compile_error_t, decltype(&hs_free_compile_error)>;

/// What Hyperscan refuses by itself, such as an expression that can never match.
bool is_refused(const std::string& expression) {
  hs_expr_info_t* info = nullptr;
  hs_compile_error_t* error = nullptr;
  const bool refused = hs_expression_info(expression.c_str(), kFlags, &info, &error) != HS_SUCCESS;
  const CompileError owned_error{error, hs_free_compile_error};
  // Allocated by the library with malloc, to be freed by the caller.
  std::free(info);
  return refused;
}

struct Attempt {
  Database database{nullptr, hs_free_database};
  std::optional<std::size_t> culprit;  ///< position in the list, if one expression is to blame
};

Attempt attempt(const std::vector<std::string>& expressions, const std::vector<unsigned>& ids) {
  std::vector<const char*> texts;
  for (const unsigned id : ids) texts.push_back(expressions[id].c_str());
  const std::vector<unsigned> flags(ids.size(), kFlags);
  hs_database_t* database = nullptr;
  hs_compile_error_t* error = nullptr;
  const hs_error_t status = hs_compile_multi(texts.data(), flags.data(), ids.data(), static_cast<unsigned>(ids.size()),
                                             HS_MODE_BLOCK, nullptr, &database, &error);
  const CompileError owned_error{error, hs_free_compile_error};
  Attempt result;
  if (status == HS_SUCCESS)
    result.database.reset(database);
  else if (error != nullptr && error->expression >= 0 && static_cast<std::size_t>(error->expression) < ids.size())
    result.culprit = static_cast<std::size_t>(error->expression);
  return result;
}

std::vector<char> serialise(const hs_database_t* database) {
  char* octets = nullptr;
  std::size_t count = 0;
  if (hs_serialize_database(database, &octets, &count) != HS_SUCCESS) return {};
  std::vector<char> out{octets, octets + count};
  std::free(octets);
  return out;
}

}  // namespace

std::uint64_t database_hash(const std::vector<std::string>& expressions) {
  std::string all = hs_version();
  all += '\0';
  for (const std::string& expression : expressions) {
    all += expression;
    all += '\0';
  }
  return control::hash64(std::as_bytes(std::span{all}));
}

DatabaseImage compile_database(const std::vector<std::string>& expressions) {
  DatabaseImage image;
  image.in_database.assign(expressions.size(), false);
  std::vector<unsigned> ids;
  for (std::size_t i = 0; i < expressions.size(); ++i)
    if (!is_refused(expressions[i])) ids.push_back(static_cast<unsigned>(i));
  while (!ids.empty()) {
    Attempt result = attempt(expressions, ids);
    if (result.database != nullptr) {
      image.octets = serialise(result.database.get());
      if (image.octets.empty()) return image;
      for (const unsigned id : ids) image.in_database[id] = true;
      return image;
    }
    if (!result.culprit) return image;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(*result.culprit));
  }
  return image;
}

std::shared_ptr<const DatabaseImage> DatabaseCache::find(std::uint64_t hash) {
  const auto found = entries_.find(hash);
  if (found == entries_.end()) return nullptr;
  found->second.used = true;
  return found->second.image;
}

void DatabaseCache::insert(std::uint64_t hash, std::shared_ptr<const DatabaseImage> image) {
  entries_[hash] = {std::move(image), true};
}

void DatabaseCache::forget_unused() {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    if (!entry->second.used) {
      entry = entries_.erase(entry);
    } else {
      entry->second.used = false;
      ++entry;
    }
  }
}

}  // namespace penstock::route
