// locator.h - from a path like listeners[3].port to the place in the text.
#pragma once
#include <initializer_list>
#include <string_view>

#include "mgmt/config/document.h"

namespace penstock::config {

class Locator {
 public:
  /// A key of a map or an index into a list.
  struct Step {
    Step(const char* name) : key{name} {}
    Step(std::size_t position) : index{position}, is_index{true} {}
    std::string_view key;
    std::size_t index{};
    bool is_index{};
  };
  using Path = std::initializer_list<Step>;

  explicit Locator(const YamlNode& root) : root_{root} {}
  /// The node at the end of the path, or nullptr when the text does not have it.
  [[nodiscard]] const YamlNode* find(Path path) const {
    const auto [node, whole] = walk(path);
    return whole ? node : nullptr;
  }
  /// Its place, or that of the innermost node on the way to it.
  [[nodiscard]] Place place(Path path) const { return walk(path).node->place; }

 private:
  struct Found {
    const YamlNode* node;
    bool whole;
  };
  [[nodiscard]] Found walk(Path path) const {
    const YamlNode* at = &root_;
    for (const Step& step : path) {
      const YamlNode* next = !step.is_index                  ? at->find(step.key)
                             : step.index < at->items.size() ? &at->items[step.index]
                                                             : nullptr;
      if (next == nullptr) return {at, false};
      at = next;
    }
    return {at, true};
  }
  const YamlNode& root_;
};

}  // namespace penstock::config
