// A YAML document as a tree in which every key and value knows its place. Narrower than YAML: one
// document, keys are plain words, no anchors and aliases, no tags, no tabs; what is left out is a
// finding, never a guess.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/finding.h"

namespace farshore::config {

struct YamlEntry;

struct YamlNode {
  enum class Kind : std::uint8_t { nothing, scalar, list, map };
  Kind kind = Kind::nothing;
  Mark mark;
  std::string scalar;
  std::vector<YamlNode> items;     // of a list
  std::vector<YamlEntry> entries;  // of a map, in file order, each key once

  const YamlNode* find(std::string_view key) const;
};

struct YamlEntry {
  std::string key;
  Mark mark;
  YamlNode value;
};

const char* name_of(YamlNode::Kind kind);  // "a list"

// Adds to `findings`; when it does so the tree may be incomplete.
YamlNode parse_yaml(std::string_view text, std::vector<Finding>& findings);

}  // namespace farshore::config
