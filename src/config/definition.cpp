#include "config/definition.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "config/description.h"

namespace farshore::config {
namespace {

using Json = nlohmann::json;  // keys sorted: the text is canonical

Json to_json(const Values& values) {
  Json object = Json::object();
  for (const auto& [key, text] : values) object[key] = text;
  return object;
}

struct Definition {
  std::string stream;
  Description description;
};

Error malformed(std::string_view what) {
  return permanent(ErrorKind::invalid,
                   "stream definition: {}: it was not written by a Farshore that we understand",
                   what);
}

Result<Values> values_from(const Json& object) {
  if (!object.is_object()) return malformed("an object is missing");
  Values values;
  for (const auto& [key, text] : object.items()) {
    if (!text.is_string()) return malformed(fmt::format("'{}' is not text", key));
    values.emplace_back(key, text.get<std::string>());
  }
  return values;
}

Result<std::vector<Values>> list_from(const Json& object, const char* key, std::size_t count_max) {
  std::vector<Values> list;
  if (!object.contains(key) || !object[key].is_array())
    return malformed(fmt::format("'{}' is not a list", key));
  if (object[key].size() > count_max) return malformed(fmt::format("'{}' is too long", key));
  for (const Json& item : object[key]) {
    FARSHORE_TRY_ASSIGN(Values values, values_from(item));
    list.push_back(std::move(values));
  }
  return list;
}

Result<Definition> definition_from(std::string_view text) {
  if (text.size() > kDefinitionMax) return malformed("too long");
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return malformed("not JSON");
  if (!json.contains("format") || !json["format"].is_number_integer() ||
      json["format"] != kDefinitionFormat)
    return malformed(fmt::format("its format is not {}", kDefinitionFormat));
  if (!json.contains("stream") || !json["stream"].is_string())
    return malformed("'stream' is missing");
  Definition definition{.stream = json["stream"].get<std::string>(), .description = {}};
  FARSHORE_TRY_ASSIGN(definition.description.values, values_from(json.value("values", Json())));
  FARSHORE_TRY_ASSIGN(definition.description.to, list_from(json, "to", kRegionsMax));
  FARSHORE_TRY_ASSIGN(definition.description.tables, list_from(json, "tables", kTableRulesMax));
  return definition;
}

// `theirs` in the order of `ours`, and with our defaults for keys that an older version does not
// know.
Values aligned(const Values& ours, const Values& defaults, const Values& theirs) {
  Values result;
  for (const auto& [key, text] : ours) {
    const std::string* there = find_value(theirs, key);
    if (there == nullptr) there = find_value(defaults, key);
    if (there != nullptr) result.emplace_back(key, *there);
  }
  for (const auto& [key, text] : theirs)
    if (find_value(ours, key) == nullptr) result.emplace_back(key, text);
  return result;
}

std::vector<Values> aligned(const Values& defaults, const std::vector<Values>& theirs) {
  std::vector<Values> result;
  result.reserve(theirs.size());
  for (const Values& one : theirs) result.push_back(aligned(defaults, defaults, one));
  return result;
}

// Only keys that may travel are taken: a definition cannot change an address.
template <class Struct>
Result<void> assign(std::span<const Key<Struct>> keys, const Values& values, Struct& into) {
  for (const auto& [name, text] : values) {
    const auto key = std::find_if(keys.begin(), keys.end(),
                                  [&](const Key<Struct>& k) { return k.name == name; });
    if (key == keys.end() || key->field == nullptr || key->reach != Reach::definition) continue;
    if (const auto read = read_value(key->field(into), key->form, key->bounds, text); !read)
      return malformed(fmt::format("{}: {}", name, read.error().what));
  }
  return {};
}

}  // namespace

std::string definition_text(const StreamConfig& stream) {
  const Description description = describe(stream, Extent::definition);
  Json json{{"format", kDefinitionFormat},
            {"stream", stream.name},
            {"values", to_json(description.values)}};
  std::vector<Values> targets = description.to;
  std::sort(targets.begin(), targets.end());
  json["to"] = Json::array();
  for (const Values& target : targets) json["to"].push_back(to_json(target));
  json["tables"] = Json::array();
  for (const Values& rule : description.tables) json["tables"].push_back(to_json(rule));
  return json.dump(-1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

Result<std::vector<std::string>> definition_differences(const StreamConfig& ours,
                                                        std::string_view definition) {
  FARSHORE_TRY_ASSIGN(const Definition theirs, definition_from(definition));
  const Description own = describe(ours, Extent::definition);
  const Description usual = describe(StreamConfig{}, Extent::definition);
  Description other;
  other.values = aligned(own.values, usual.values, theirs.description.values);
  other.to =
      aligned(values_of(target_keys(), TargetConfig{}, Extent::definition), theirs.description.to);
  other.tables =
      aligned(values_of(rule_keys(), TableRule{}, Extent::definition), theirs.description.tables);
  std::vector<std::string> lines;
  const std::string path = "streams." + ours.name;
  if (theirs.stream != ours.name)
    lines.push_back(fmt::format("{}: {} -> {}", path, ours.name, theirs.stream));
  add_differences(lines, path, own, other);
  return lines;
}

Result<StreamConfig> with_definition(const StreamConfig& ours, std::string_view definition) {
  FARSHORE_TRY_ASSIGN(const Definition theirs, definition_from(definition));
  StreamConfig stream = ours;
  FARSHORE_TRY(assign(stream_keys(), theirs.description.values, stream));
  stream.to.clear();
  for (const Values& values : theirs.description.to) {
    FARSHORE_TRY(assign(target_keys(), values, stream.to.emplace_back()));
  }
  stream.tables.clear();
  for (const Values& values : theirs.description.tables) {
    FARSHORE_TRY(assign(rule_keys(), values, stream.tables.emplace_back()));
  }
  return stream;
}

}  // namespace farshore::config
