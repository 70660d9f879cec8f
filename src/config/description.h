// Description: a stream as the texts of its keys, in the order of the table of keys. What a
// difference or a definition is made of; two descriptions are equal when the streams mean the same.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"
#include "config/keys.h"

namespace farshore::config {

using Values = std::vector<std::pair<std::string, std::string>>;  // key, text

const std::string* find_value(const Values& values, std::string_view key);

struct Description {
  Values values;
  std::vector<Values> to;      // each with `site`
  std::vector<Values> tables;  // each with `match`
  friend bool operator==(const Description&, const Description&) = default;
};

enum class Extent : std::uint8_t {
  everything,
  definition
};  // definition: only what the source's region owns

Description describe(const StreamConfig& stream, Extent extent);

// All keys but those that a stream's targets carry.
template <class Struct>
Values values_of(std::span<const Key<Struct>> keys, const Struct& from, Extent extent) {
  Values values;
  for (const Key<Struct>& key : keys) {
    if (key.field == nullptr || key.reach == Reach::inherited) continue;
    if (extent == Extent::definition && key.reach != Reach::definition) continue;
    values.emplace_back(key.name, show(key, from));
  }
  return values;
}

// "PATH.key: before -> after" for each that differs; "(none)" where one side has no such key or
// value.
void add_differences(std::vector<std::string>& lines, const std::string& path, const Values& before,
                     const Values& after);
void add_differences(std::vector<std::string>& lines, const std::string& path,
                     const Description& before, const Description& after);

}  // namespace farshore::config
