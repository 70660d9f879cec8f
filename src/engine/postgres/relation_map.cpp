#include "engine/postgres/relation_map.h"

#include <fmt/format.h>

#include <algorithm>

#include "change/remedy.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

constexpr std::uint32_t kFirstOwnOid = 16384;  // below it oids are the same on every server
constexpr std::uint32_t kVarchar = 1043, kVarbit = 1562;
constexpr std::size_t kLinesMax = 20;

bool same_type(const SourceColumn& source, const TargetColumn& target, const SourceTypes& types) {
  if (source.type < kFirstOwnOid)
    return source.type == target.type || source.type == target.base_type;
  const auto own = types.find(source.type);
  if (own == types.end()) return true;  // its values will tell
  const auto& [schema, name] = own->second;
  return (schema == target.base_schema && name == target.base_name) ||
         (schema == target.type_schema && name == target.type_name);
}

// A shorter or coarser column would refuse values or round them without a word.
bool holds_modifier(const SourceColumn& source, const TargetColumn& target) {
  if (source.modifier == target.modifier || target.modifier == -1) return true;
  const bool by_length = target.type == kVarchar || target.type == kVarbit;
  return by_length && source.modifier != -1 && target.modifier >= source.modifier;
}

struct Differences {
  std::vector<std::size_t> missing, changed;  // source columns
  std::vector<std::size_t> target_of;
};

Differences compare(const SourceRelation& source, const TargetRelation& target,
                    const SourceTypes& types) {
  Differences found;
  for (std::size_t i = 0; i < source.columns.size(); ++i) {
    const int at = target.find_column(source.columns[i].name);
    if (at < 0) {
      found.missing.push_back(i);
      continue;
    }
    const TargetColumn& column = target.columns[static_cast<std::size_t>(at)];
    if (!same_type(source.columns[i], column, types) || !holds_modifier(source.columns[i], column))
      found.changed.push_back(i);
    found.target_of.push_back(static_cast<std::size_t>(at));
  }
  return found;
}

std::vector<const TargetColumn*> unknown_to_source(const SourceRelation& source,
                                                   const TargetRelation& target) {
  std::vector<const TargetColumn*> found;
  for (const TargetColumn& column : target.columns) {
    const auto same = [&](const SourceColumn& c) { return c.name == column.name; };
    if (std::none_of(source.columns.begin(), source.columns.end(), same)) found.push_back(&column);
  }
  return found;
}

// What ALTER TABLE itself writes into rows is in no stream of changes.
Error mismatch(const SourceRelation& source, const TargetRelation& target, const Differences& found,
               const TypeText& type_text, const LegName& leg) {
  std::string why, lines;
  for (const std::size_t i : found.missing) {
    const SourceColumn& column = source.columns[i];
    why += fmt::format("{}column {} is missing", why.empty() ? "" : ", ",
                       quote_identifier(column.name));
    lines += fmt::format(" ALTER TABLE {} ADD COLUMN {} {};", target.quoted,
                         quote_identifier(column.name), type_text(column));
  }
  for (const std::size_t i : found.changed) {
    const SourceColumn& column = source.columns[i];
    const TargetColumn& have =
        target.columns[static_cast<std::size_t>(target.find_column(column.name))];
    const std::string name = quote_identifier(column.name), type = type_text(column);
    why += fmt::format("{}column {} is {} here and {} at the source", why.empty() ? "" : ", ", name,
                       have.type_text, type);
    lines += fmt::format(" ALTER TABLE {} ALTER COLUMN {} TYPE {} USING {}::{};", target.quoted,
                         name, type, name, type);
  }
  const auto extra = unknown_to_source(source, target);
  if (found.missing.size() == 1 && extra.size() == 1)
    lines +=
        fmt::format(" (if it was renamed at the source: ALTER TABLE {} RENAME COLUMN {} TO {};)",
                    target.quoted, quote_identifier(extra.front()->name),
                    quote_identifier(source.columns[found.missing.front()].name));
  return permanent(
      ErrorKind::rejected, "table {}: {}{}", target.quoted, why,
      to_do(fmt::format("run on the target:{} then {}; rows that the source's ALTER filled or "
                        "converted itself (DEFAULT, USING) are not among the changes: give these "
                        "lines the same, or copy the table anew after that: {}",
                        lines, stream_command(leg, "resume"),
                        stream_command(leg, "resnapshot", {"--table", source.quoted()}))));
}

void choose_key(MappedRelation& mapped) {
  const SourceRelation& source = mapped.source;
  const auto source_of = [&](std::size_t target) -> int {
    for (std::size_t i = 0; i < mapped.target_of.size(); ++i)
      if (mapped.target_of[i] == target) return static_cast<int>(i);
    return -1;
  };
  if (source.replica_identity != 'f') {
    for (std::size_t i = 0; i < source.columns.size(); ++i)
      if (source.columns[i].key) mapped.key.push_back(i);
    return;
  }
  // FULL marks every column; the target's own key finds the row if it has one.
  for (const UniqueIndex& unique : mapped.target.uniques) {
    if (!unique.finds_rows) continue;
    std::vector<std::size_t> key;
    for (const std::size_t column : unique.columns)
      if (const int at = source_of(column); at >= 0) key.push_back(static_cast<std::size_t>(at));
    if (key.size() != unique.columns.size()) continue;
    mapped.key = std::move(key);
    return;
  }
  mapped.whole_row = true;
}

bool only_key_collides(const MappedRelation& mapped) {
  const TargetRelation& target = mapped.target;
  if (target.has_exclusion || target.has_firing_triggers) return false;
  if (target.uniques.empty()) return true;
  if (target.uniques.size() > 1) return false;
  std::vector<std::size_t> key, unique = target.uniques.front().columns;
  for (const std::size_t i : mapped.key) key.push_back(mapped.target_of[i]);
  std::sort(key.begin(), key.end());
  std::sort(unique.begin(), unique.end());
  return key == unique && target.uniques.front().finds_rows;
}

bool key_holds_unique(const MappedRelation& mapped) {
  const auto in_key = [&](std::size_t target) {
    return std::any_of(mapped.key.begin(), mapped.key.end(),
                       [&](std::size_t i) { return mapped.target_of[i] == target; });
  };
  const auto& uniques = mapped.target.uniques;
  return std::any_of(uniques.begin(), uniques.end(), [&](const UniqueIndex& unique) {
    return unique.finds_rows && std::all_of(unique.columns.begin(), unique.columns.end(), in_key);
  });
}

}  // namespace

std::string SourceRelation::quoted() const {
  return quote_qualified(schema, name);
}

std::string own_type_text(const SourceColumn& column, const SourceTypes& types) {
  const auto own = types.find(column.type);
  if (column.type < kFirstOwnOid || own == types.end()) return {};
  const auto& [schema, name] = own->second;
  // PostgreSQL names the array of mood _mood.
  if (name.size() > 1 && name.front() == '_')
    return quote_qualified(schema, std::string_view(name).substr(1)) + "[]";
  return quote_qualified(schema, name);
}

Error missing_table(const SourceRelation& source, const TypeText& type_text) {
  std::string columns, key;
  for (const SourceColumn& column : source.columns) {
    columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", quote_identifier(column.name),
                           type_text(column));
    if (column.key && source.replica_identity != 'f')
      key += (key.empty() ? "" : ", ") + quote_identifier(column.name);
  }
  if (!key.empty()) columns += ", PRIMARY KEY (" + key + ")";
  return permanent(ErrorKind::rejected,
                   "table {} does not exist on the target; run there: CREATE TABLE {} ({});",
                   source.quoted(), source.quoted(), columns);
}

Result<MappedRelation> map_relation(const SourceRelation& source, TargetRelation target,
                                    const SourceTypes& types, const TypeText& type_text,
                                    const LegName& leg) {
  if (target.kind != 'r' && target.kind != 'p')
    return permanent(
        ErrorKind::rejected,
        "{} is not a table on the target (relkind '{}'): changes can only be applied to tables",
        target.quoted, target.kind);
  if (target.row_security)
    return permanent(ErrorKind::denied,
                     "table {} has row level security that applies to this role: as a superuser "
                     "run on the target: ALTER ROLE {} BYPASSRLS; or make the role the table's "
                     "owner",
                     target.quoted, target.role);
  Differences found = compare(source, target, types);
  if (!found.missing.empty() || !found.changed.empty()) {
    found.missing.resize(std::min(found.missing.size(), kLinesMax));
    return mismatch(source, target, found, type_text, leg);
  }
  MappedRelation mapped{
      .source = source, .target = std::move(target), .target_of = std::move(found.target_of)};
  choose_key(mapped);
  mapped.in_key.resize(source.columns.size());
  for (const std::size_t i : mapped.key) mapped.in_key[i] = true;
  for (std::size_t i = 0; i < source.columns.size(); ++i) {
    const TargetColumn& column = mapped.target.columns[mapped.target_of[i]];
    mapped.written.push_back(!column.generated);
  }
  mapped.order_free = only_key_collides(mapped);
  mapped.key_is_unique = key_holds_unique(mapped);
  return mapped;
}

bool RelationMap::learn(const Relation& relation) {
  SourceRelation source{.oid = relation.oid,
                        .schema = std::string(relation.schema),
                        .name = std::string(relation.name),
                        .replica_identity = relation.replica_identity};
  for (const RelationColumn& column : relation.columns)
    source.columns.push_back(
        {std::string(column.name), column.key, column.type_oid, column.type_modifier});
  std::shared_ptr<Entry>& entry = relations_[relation.oid];
  if (entry && entry->source == source) return false;  // a preamble says again what is known
  const bool known = entry != nullptr;
  replaced_.emplace_back(relation.oid, entry);
  entry = std::make_shared<Entry>(Entry{.source = std::move(source), .mapped = nullptr});
  last_ = nullptr;
  return known;
}

void RelationMap::learn(const Type& type) {
  auto& names = types_[type.oid];
  if (names.first == type.schema && names.second == type.name) return;
  names = {std::string(type.schema), std::string(type.name)};
}

Result<RelationMap::Entry*> RelationMap::find(std::uint32_t oid) {
  if (last_ != nullptr && last_oid_ == oid) return last_;
  const auto found = relations_.find(oid);
  if (found == relations_.end() || !found->second)
    return permanent(ErrorKind::corrupt,
                     "a change names relation {}, of which the stream has said nothing: no "
                     "Relation message is in the "
                     "preamble or before it",
                     oid);
  last_oid_ = oid;
  last_ = found->second.get();
  return last_;
}

void RelationMap::forget_all() {
  relations_.clear();
  types_.clear();
  replaced_.clear();
  last_ = nullptr;
}

void RelationMap::forget_targets() {
  for (auto& [oid, entry] : relations_)
    if (entry) entry->mapped = nullptr, entry->gate = {};
}

void RelationMap::keep_group() {
  replaced_.clear();
}

void RelationMap::drop_group() {
  for (auto change = replaced_.rbegin(); change != replaced_.rend(); ++change)
    relations_[change->first] = std::move(change->second);
  replaced_.clear();
  last_ = nullptr;
}

}  // namespace farshore::postgres
