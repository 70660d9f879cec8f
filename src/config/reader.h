// Reader: walks the tree of a file along the tables of keys and fills the structs. It knows no
// rules between values: those are in combinations.h.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/keys.h"
#include "config/yaml_tree.h"

namespace farshore::config {

class Reader {
 public:
  Reader(Config& config, std::vector<Finding>& errors) : config_(config), errors_(errors) {}

  void read(const YamlNode& root);

 private:
  // One map of keys; `prefix` is the part of their names that the maps above it hold ("journal.").
  template <class Scope>
  void read_keys(std::span<const Key<Scope>> keys, const YamlNode& map, const std::string& path,
                 const std::string& prefix, Scope& scope);
  template <class Scope>
  void read_key(const Key<Scope>& key, const YamlEntry& entry, const std::string& path,
                Scope& scope);
  template <class Scope>
  void unknown_key(std::span<const Key<Scope>> keys, const YamlEntry& entry,
                   const std::string& path, const std::string& prefix);
  template <class Scope>
  void require_keys(std::span<const Key<Scope>> keys, const YamlNode& map, const std::string& path,
                    Mark mark);

  // The entries of a section of named things, each a map.
  template <class Named, class ReadOne>
  void read_section(const YamlNode& root, const std::string& section, std::size_t count_max,
                    std::vector<Named>& into, ReadOne read_one);
  void read_region(const YamlEntry& entry, const std::string& path, RegionConfig& region);
  void read_site(const YamlEntry& entry, const std::string& path, SiteConfig& site);
  void read_stream(const YamlNode& map, const std::string& path, StreamConfig& stream);
  void read_targets(const YamlNode& list, const std::string& path, StreamConfig& stream);
  void read_rules(const YamlNode& list, const std::string& path, StreamConfig& stream);
  StreamConfig read_defaults(const YamlNode& root);

  bool expect(const YamlNode& node, YamlNode::Kind kind, const std::string& path);
  std::string resolved(const std::string& path) const;  // against the file's folder
  void error(Mark mark, std::string message) { errors_.push_back({mark, std::move(message)}); }

  Config& config_;
  std::vector<Finding>& errors_;
  bool in_defaults_ = false;
};

}  // namespace farshore::config
