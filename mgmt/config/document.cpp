#include "mgmt/config/document.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <istream>
#include <streambuf>
#include <utility>

#include "mgmt/config/loader.h"

namespace penstock::config {
namespace {

Place place_of(const YAML::Mark& mark) { return mark.is_null() ? Place{} : Place{mark.line + 1, mark.column + 1}; }

YamlNode node_at(const YAML::Mark& mark, YamlNode::Kind kind) {
  YamlNode node;
  node.kind = kind;
  node.place = place_of(mark);
  return node;
}

/// Ends the parse; the finding is already recorded.
struct GiveUp {};

/// Builds the tree from the parser's events. Aliases are never followed, so the tree is no larger than the text.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(Findings& findings) : findings_{findings} {}
  [[nodiscard]] YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) {
      findings_.push_back({place_of(mark), "a second document begins here", "keep one document per file"});
      throw GiveUp{};
    }
  }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { leaf(node_at(mark, YamlNode::Kind::null)); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    findings_.push_back({place_of(mark), "aliases (*name) are not supported", "repeat the value"});
    YamlNode node = node_at(mark, YamlNode::Kind::null);
    node.refused = true;
    leaf(std::move(node));
  }
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    findings_.push_back({place_of(mark), "anchors (&name) are not supported", "remove the anchor"});
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    refuse_tag(mark, tag);
    YamlNode node = node_at(mark, YamlNode::Kind::scalar);
    node.text = value;
    node.quoted = tag == "!";
    leaf(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    refuse_tag(mark, tag);
    open(node_at(mark, YamlNode::Kind::list));
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    refuse_tag(mark, tag);
    open(node_at(mark, YamlNode::Kind::map));
  }
  void OnMapEnd() override { close(); }

 private:
  /// A container under construction; a map alternates between key and value.
  struct Open {
    YamlNode node;
    bool has_key{};
    std::string key;
    Place key_place;
  };

  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    findings_.push_back({place_of(mark), "tags (" + tag + ") are not supported", "remove the tag"});
  }
  void count_node(Place place) {
    if (++nodes_ <= kConfigNodesMax) return;
    findings_.push_back({place, "more than " + std::to_string(kConfigNodesMax) + " values", "make the file smaller"});
    throw GiveUp{};
  }
  void leaf(YamlNode node) {
    count_node(node.place);
    place_child(std::move(node));
  }
  void open(YamlNode node) {
    count_node(node.place);
    if (stack_.size() >= kConfigDepthMax) {
      findings_.push_back({node.place, "nested deeper than " + std::to_string(kConfigDepthMax) + " levels", ""});
      throw GiveUp{};
    }
    stack_.push_back({std::move(node), false, {}, {}});
  }
  void close() {
    YamlNode done = std::move(stack_.back().node);
    stack_.pop_back();
    place_child(std::move(done));
  }
  void place_child(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = stack_.back();
    if (parent.node.kind == YamlNode::Kind::list) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      if (node.kind != YamlNode::Kind::scalar)
        findings_.push_back({node.place, "a key must be plain text", "write it as `key: value`"});
      parent.has_key = true;
      parent.key = std::move(node.text);
      parent.key_place = node.place;
    } else {
      if (node.kind == YamlNode::Kind::null && !node.refused)
        node.place = parent.key_place;  // the parser is further on
      parent.node.entries.push_back({std::move(parent.key), parent.key_place, std::move(node)});
      parent.has_key = false;
      parent.key.clear();
    }
  }

  Findings& findings_;
  YamlNode root_;
  std::vector<Open> stack_;
  std::size_t nodes_{0};
  int documents_{0};
};

/// Reads text that belongs to somebody else.
class ViewBuffer final : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // streambuf's interface; nothing writes
    setg(begin, begin, begin + text.size());
  }
};

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const YamlEntry& entry : entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

std::optional<YamlNode> parse_document(std::string_view text, Findings& findings) {
  if (text.size() > kConfigOctetsMax) {
    findings.push_back({{}, "larger than " + std::to_string(kConfigOctetsMax) + " octets", "make the file smaller"});
    return std::nullopt;
  }
  Builder builder{findings};
  try {
    ViewBuffer buffer{text};
    std::istream stream{&buffer};
    YAML::Parser parser{stream};
    if (!parser.HandleNextDocument(builder)) {
      findings.push_back({{}, "the file is empty", "begin with `apiVersion: penstock/v1`"});
      return std::nullopt;
    }
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const GiveUp&) {
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    findings.push_back({place_of(error.mark), "YAML syntax: " + error.msg,
                        "look at quotes, brackets and the indentation (spaces, no tabs) here and above"});
    return std::nullopt;
  }
  return builder.take_root();
}

}  // namespace penstock::config
