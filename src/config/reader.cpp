#include "config/reader.h"

#include <algorithm>

namespace farshore::config {
namespace {

// "journal.keep" under "journal." is "keep"; under "" it is "journal".
std::string_view next_part(std::string_view name, std::string_view prefix) {
  name.remove_prefix(prefix.size());
  return name.substr(0, name.find('.'));
}

std::string_view last_part(std::string_view name) {
  const std::size_t dot = name.rfind('.');
  return dot == std::string_view::npos ? name : name.substr(dot + 1);
}

std::string place_text(const std::string& path) {
  return path.empty() ? "at the top of the file" : "in " + path;
}

std::string joined(const std::string& path, std::string_view key) {
  return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
}

template <class Scope>
std::vector<std::string_view> words_at(std::span<const Key<Scope>> keys, std::string_view prefix) {
  std::vector<std::string_view> words;
  for (const Key<Scope>& key : keys) {
    if (!key.name.starts_with(prefix)) continue;
    const std::string_view word = next_part(key.name, prefix);
    if (words.empty() || words.back() != word) words.push_back(word);
  }
  return words;
}

}  // namespace

template <class Scope>
void Reader::read_keys(std::span<const Key<Scope>> keys, const YamlNode& map,
                       const std::string& path, const std::string& prefix, Scope& scope) {
  for (const YamlEntry& entry : map.entries) {
    const std::string name = prefix + entry.key;
    const std::string entry_path = joined(path, entry.key);
    const auto key =
        std::find_if(keys.begin(), keys.end(), [&](const Key<Scope>& k) { return k.name == name; });
    if (key != keys.end()) {
      read_key(*key, entry, entry_path, scope);
      continue;
    }
    const std::string inner = name + ".";
    if (std::none_of(keys.begin(), keys.end(),
                     [&](const Key<Scope>& k) { return k.name.starts_with(inner); })) {
      unknown_key(keys, entry, path, prefix);
    } else if (expect(entry.value, YamlNode::Kind::map, entry_path)) {
      config_.marks[entry_path] = entry.mark;
      read_keys(keys, entry.value, entry_path, inner, scope);
    }
  }
}

template <class Scope>
void Reader::read_key(const Key<Scope>& key, const YamlEntry& entry, const std::string& path,
                      Scope& scope) {
  config_.marks[path] = entry.value.mark;
  if (in_defaults_ && !key.in_defaults) {
    error(entry.mark, fmt::format("{}: '{}' is each stream's own, it cannot stand in defaults",
                                  path, key.name));
    return;
  }
  if (key.field == nullptr) return;
  if (!expect(entry.value, YamlNode::Kind::scalar, path)) return;
  const Field field = key.field(scope);
  const std::string before = show_value(field);
  if (const auto read = read_value(field, key.form, key.bounds, entry.value.scalar); !read) {
    error(entry.value.mark, fmt::format("{}: {}", path, read.error().what));
    return;
  }
  if (key.form == Form::path) {
    auto* text = std::get<std::string*>(field);
    *text = resolved(*text);
  }
  if (key.no_effect_yet && show_value(field) != before)
    config_.warnings.push_back(
        {entry.mark, fmt::format("{}: {} is read and kept, but this version does not act on it yet",
                                 path, entry.value.scalar)});
}

template <class Scope>
void Reader::unknown_key(std::span<const Key<Scope>> keys, const YamlEntry& entry,
                         const std::string& path, const std::string& prefix) {
  const auto known = words_at(keys, prefix);
  std::string message = fmt::format("unknown key '{}' {}", entry.key, place_text(path));
  const auto elsewhere = std::find_if(keys.begin(), keys.end(), [&](const Key<Scope>& k) {
    return last_part(k.name) == entry.key && k.name != entry.key;
  });
  if (elsewhere != keys.end()) {
    message += fmt::format("; did you mean '{}'?", elsewhere->name);
  } else if (const std::string near = suggestion(entry.key, known); !near.empty()) {
    message += near;
  } else {
    message += fmt::format(": it may hold {}", fmt::join(known, ", "));
  }
  error(entry.mark, std::move(message));
}

template <class Scope>
void Reader::require_keys(std::span<const Key<Scope>> keys, const YamlNode& map,
                          const std::string& path, Mark mark) {
  for (const Key<Scope>& key : keys) {
    if (!key.required || map.find(key.name) != nullptr) continue;
    error(mark, fmt::format("{}'{}' is missing: {}", path.empty() ? "" : path + ": ", key.name,
                            key.help));
  }
}

template <class Named, class ReadOne>
void Reader::read_section(const YamlNode& root, const std::string& section, std::size_t count_max,
                          std::vector<Named>& into, ReadOne read_one) {
  const YamlNode* map = root.find(section);
  if (map == nullptr || !expect(*map, YamlNode::Kind::map, section)) return;
  if (map->entries.empty() && section == "regions")
    error(map->mark, "regions: is empty: name at least one");
  if (map->entries.size() > count_max) {
    error(map->mark,
          fmt::format("{}: {} are more than {}", section, map->entries.size(), count_max));
    return;
  }
  for (const YamlEntry& entry : map->entries) {
    const std::string path = joined(section, entry.key);
    config_.marks[path] = entry.mark;
    Named one;
    if (const auto name = read_value(&one.name, Form::name, {}, entry.key); !name) {
      error(entry.mark, fmt::format("{}: {}", section, name.error().what));
      continue;
    }
    if (expect(entry.value, YamlNode::Kind::map, path)) read_one(entry, path, one);
    into.push_back(std::move(
        one));  // also when it is faulty: else every reference to it would be a finding too
  }
}

void Reader::read_region(const YamlEntry& entry, const std::string& path, RegionConfig& region) {
  read_keys(region_keys(), entry.value, path, "", region);
  require_keys(region_keys(), entry.value, path, entry.mark);
  if (entry.value.find("tls") == nullptr) region.tls = resolved(region.tls);
  const auto link = parse_address(region.link);
  if (region.listen.empty() && link)
    region.listen = is_loopback(link->host) ? region.link : fmt::format(":{}", link->port);
}

void Reader::read_site(const YamlEntry& entry, const std::string& path, SiteConfig& site) {
  read_keys(site_keys(), entry.value, path, "", site);
  require_keys(site_keys(), entry.value, path, entry.mark);
}

void Reader::read_stream(const YamlNode& map, const std::string& path, StreamConfig& stream) {
  read_keys(stream_keys(), map, path, "", stream);
  if (const YamlNode* list = map.find("to"); list != nullptr && !in_defaults_)
    read_targets(*list, joined(path, "to"), stream);
  if (const YamlNode* list = map.find("tables")) read_rules(*list, joined(path, "tables"), stream);
}

void Reader::read_targets(const YamlNode& list, const std::string& path, StreamConfig& stream) {
  std::string one;
  if (list.kind == YamlNode::Kind::scalar && read_value(&one, Form::name, {}, list.scalar).ok())
    return error(list.mark,
                 fmt::format("{}: a list is wanted, not one value: write [{}]", path, one));
  if (!expect(list, YamlNode::Kind::list, path)) return;
  if (list.items.empty()) error(list.mark, path + ": is empty: name at least one site");
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    const YamlNode& item = list.items[i];
    const std::string item_path = fmt::format("{}[{}]", path, i);
    config_.marks[item_path] = item.mark;
    TargetConfig target{.apply_delay = stream.apply_delay, .existing = stream.existing};
    if (item.kind == YamlNode::Kind::scalar) {
      if (const auto read = read_value(&target.site, Form::name, {}, item.scalar); !read)
        error(item.mark, fmt::format("{}: {}", item_path, read.error().what));
    } else if (item.kind == YamlNode::Kind::map) {
      read_keys(target_keys(), item, item_path, "", target);
      require_keys(target_keys(), item, item_path, item.mark);
    } else {
      error(item.mark, fmt::format("{}: a site's name or a map with it is wanted, not {}",
                                   item_path, name_of(item.kind)));
    }
    stream.to.push_back(std::move(target));
  }
}

void Reader::read_rules(const YamlNode& list, const std::string& path, StreamConfig& stream) {
  if (!expect(list, YamlNode::Kind::list, path)) return;
  if (list.items.empty()) error(list.mark, path + ": is empty: nothing would be replicated");
  if (list.items.size() > kTableRulesMax) {
    error(list.mark,
          fmt::format("{}: {} rules are more than {}", path, list.items.size(), kTableRulesMax));
    return;
  }
  stream.tables.clear();  // those of `defaults`
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    const YamlNode& item = list.items[i];
    const std::string item_path = fmt::format("{}[{}]", path, i);
    config_.marks[item_path] = item.mark;
    TableRule rule;
    if (item.kind == YamlNode::Kind::scalar) {
      error(item.mark,
            fmt::format("{}: a rule is a map: {{ match: \"{}\" }}", item_path, item.scalar));
    } else if (expect(item, YamlNode::Kind::map, item_path)) {
      read_keys(rule_keys(), item, item_path, "", rule);
      require_keys(rule_keys(), item, item_path, item.mark);
    }
    stream.tables.push_back(std::move(rule));
  }
}

StreamConfig Reader::read_defaults(const YamlNode& root) {
  StreamConfig defaults;
  const YamlNode* map = root.find("defaults");
  if (map == nullptr || !expect(*map, YamlNode::Kind::map, "defaults")) return defaults;
  in_defaults_ = true;
  read_stream(*map, "defaults", defaults);
  in_defaults_ = false;
  return defaults;
}

void Reader::read(const YamlNode& root) {
  if (root.kind == YamlNode::Kind::nothing) {
    error({}, "is empty: `farshore init` writes one to start from");
    return;
  }
  if (!expect(root, YamlNode::Kind::map, "the file")) return;
  read_keys(file_keys(), root, "", "", config_);
  require_keys(file_keys(), root, "", {});
  if (const YamlNode* map = root.find("link");
      map != nullptr && expect(*map, YamlNode::Kind::map, "link"))
    read_keys(link_keys(), *map, "link", "", config_.link);
  read_section(root, "regions", kRegionsMax, config_.regions,
               [this](auto& entry, auto& path, auto& region) { read_region(entry, path, region); });
  read_section(root, "sites", kSitesMax, config_.sites,
               [this](auto& entry, auto& path, auto& site) { read_site(entry, path, site); });
  const StreamConfig defaults = read_defaults(root);
  read_section(
      root, "streams", kStreamsMax, config_.streams, [&](auto& entry, auto& path, auto& stream) {
        std::string name = std::move(stream.name);
        stream = defaults;
        stream.name = std::move(name);
        read_stream(entry.value, path, stream);
        for (const Key<StreamConfig>& key : stream_keys())
          if (key.required && entry.value.find(key.name) == nullptr &&
              !(key.name == "tables" && !stream.tables.empty()))
            error(entry.mark, fmt::format("{}: '{}' is missing: {}", path, key.name, key.help));
      });
}

bool Reader::expect(const YamlNode& node, YamlNode::Kind kind, const std::string& path) {
  if (node.kind == kind) return true;
  error(node.mark,
        node.kind == YamlNode::Kind::nothing
            ? fmt::format("{}: has no value", path)
            : fmt::format("{}: {} is wanted, not {}", path, name_of(kind), name_of(node.kind)));
  return false;
}

std::string Reader::resolved(const std::string& path) const {
  const std::size_t slash = config_.file.rfind('/');
  if (path.starts_with('/') || slash == std::string::npos) return path;
  return config_.file.substr(0, slash + 1) + path;
}

}  // namespace farshore::config
