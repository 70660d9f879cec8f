#include "config/yaml_tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <optional>
#include <sstream>

namespace farshore::config {
namespace {

constexpr std::size_t kDepthMax = 16;
constexpr std::size_t kFindingsMax =
    100;  // of the text as such; a binary file would give one a byte

Mark mark_of(const YAML::Mark& mark) {
  return {mark.line + 1, mark.column + 1};
}

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(std::vector<Finding>& findings) : findings_(findings) {}

  YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    refuse_anchor(mark, anchor);
    add({.kind = YamlNode::Kind::nothing, .mark = mark_of(mark)});
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    findings_.push_back({mark_of(mark),
                         "aliases (*name) are not read: write the value out, or put it into "
                         "`defaults`"});
    drop();
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    YamlNode node{.kind = YamlNode::Kind::scalar, .mark = mark_of(mark)};
    if (tag == "?" && (value == "~" || value == "null")) node.kind = YamlNode::Kind::nothing;
    node.scalar = value;
    add(std::move(node));
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::list);
  }
  void OnSequenceEnd() override { close(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, YamlNode::Kind::map);
  }
  void OnMapEnd() override { close(); }

 private:
  struct OpenNode {
    YamlNode node;
    std::optional<YamlEntry> key;  // of a map: read, its value not yet
    bool dropped = false;          // the entry is a finding already
  };

  void refuse_anchor(const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (anchor == 0) return;
    findings_.push_back({mark_of(mark), "anchors (&name) are not read: use `defaults`"});
  }

  void refuse_tag(const YAML::Mark& mark, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    findings_.push_back({mark_of(mark), fmt::format("tags ({}) are not read", tag)});
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
            YamlNode::Kind kind) {
    refuse_anchor(mark, anchor);
    refuse_tag(mark, tag);
    if (open_.size() >= kDepthMax) throw YAML::ParserException(mark, "nested too deeply");
    open_.push_back({.node = {.kind = kind, .mark = mark_of(mark)}});
  }

  void close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  // In place of a value that is a finding: its key goes too.
  void drop() {
    if (open_.empty()) return;
    if (open_.back().key) {
      open_.back().key.reset();
    } else if (open_.back().node.kind == YamlNode::Kind::map) {
      start_entry(open_.back(), {});
    }
  }

  void add(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    OpenNode& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::list) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.key) {
      start_entry(parent, std::move(node));
    } else {
      if (node.kind == YamlNode::Kind::nothing) node.mark = parent.key->mark;
      parent.key->value = std::move(node);
      if (!parent.dropped) parent.node.entries.push_back(std::move(*parent.key));
      parent.key.reset();
    }
  }

  void start_entry(OpenNode& parent, YamlNode key) {
    parent.dropped = false;
    if (key.kind != YamlNode::Kind::scalar || key.scalar.empty()) {
      findings_.push_back({key.mark, "a key must be a plain word"});
      parent.dropped = true;
    }
    const auto same = std::find_if(parent.node.entries.begin(), parent.node.entries.end(),
                                   [&](const YamlEntry& e) { return e.key == key.scalar; });
    if (!parent.dropped && same != parent.node.entries.end()) {
      findings_.push_back({key.mark, fmt::format("duplicate key '{}': it stands on line {} already",
                                                 key.scalar, same->mark.line)});
      parent.dropped = true;
    }
    parent.key = YamlEntry{.key = std::move(key.scalar), .mark = key.mark, .value = {}};
  }

  std::vector<Finding>& findings_;
  std::vector<OpenNode> open_;
  YamlNode root_;
};

// In our words where yaml-cpp's do not say what to do.
std::string text_of(const YAML::Exception& failure) {
  const bool alias = failure.msg == YAML::ErrorMsg::ALIAS_NOT_FOUND ||
                     failure.msg.starts_with(YAML::ErrorMsg::UNKNOWN_ANCHOR);
  if (alias) return "not YAML: a value that begins with * stands in quotes, as in \"*\"";
  return "not YAML: " + failure.msg;
}

// yaml-cpp reads tabs as it likes and stops at NUL: such text is refused before it sees it.
void check_characters(std::string_view text, std::vector<Finding>& findings) {
  int line = 1;
  int column = 1;
  bool indenting = true;
  for (const char c : text) {
    if (findings.size() >= kFindingsMax) return;
    if (c == '\t' && indenting) {
      findings.push_back({{line, column}, "a tab in the indentation: YAML wants spaces"});
      indenting = false;
    } else if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') {
      findings.push_back(
          {{line, column}, fmt::format("character 0x{:02x} is not text", static_cast<int>(c))});
    } else if (c != ' ') {
      indenting = false;
    }
    ++column;
    if (c == '\n') ++line, column = 1, indenting = true;
  }
}

}  // namespace

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const YamlEntry& entry : entries)
    if (entry.key == key) return &entry.value;
  return nullptr;
}

const char* name_of(YamlNode::Kind kind) {
  switch (kind) {
    case YamlNode::Kind::nothing:
      return "nothing";
    case YamlNode::Kind::scalar:
      return "one value";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::map:
      return "a map";
  }
  return "";
}

YamlNode parse_yaml(std::string_view text, std::vector<Finding>& findings) {
  check_characters(text, findings);
  if (!findings.empty()) return {};
  TreeBuilder builder(findings);
  try {
    std::istringstream in{std::string(text)};
    YAML::Parser parser(in);
    parser.HandleNextDocument(builder);
    TreeBuilder ignored(findings);
    if (parser.HandleNextDocument(ignored)) {
      findings.push_back({{}, "more than one YAML document (---): only one is read"});
    }
  } catch (const YAML::Exception& failure) {
    findings.push_back({mark_of(failure.mark), text_of(failure)});
  }
  return builder.take_root();
}

}  // namespace farshore::config
