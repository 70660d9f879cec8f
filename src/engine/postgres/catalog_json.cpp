// Table definitions as JSON and back. A field that a newer version added is passed over when read;
// one that is missing keeps its default.
#include <nlohmann/json.hpp>

#include "engine/postgres/catalog.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {

using nlohmann::json;

namespace {

constexpr int kCatalogVersion = 1;

std::string letter_text(char letter) {
  return std::string(1, letter);
}

void get_letter(const json& in, const char* key, char& out) {
  const std::string text = in.value(key, std::string());
  if (!text.empty()) out = text.front();
}

template <class T>
void get(const json& in, const char* key, T& out) {
  out = in.value(key, T());
}

template <class T>
void get_list(const json& in, const char* key, std::vector<T>& out) {
  const auto found = in.find(key);
  if (found == in.end()) return;
  for (const json& item : *found) from_json(item, out.emplace_back());
}

}  // namespace

// Found by nlohmann's lists through argument-dependent lookup, hence not in the nameless namespace.
static void to_json(json& out, const ColumnDefinition& in) {
  out = {{"name", in.name},
         {"type", in.type},
         {"type_schema", in.type_schema},
         {"type_name", in.type_name},
         {"base_type", in.base_type},
         {"collation", in.collation},
         {"not_null", in.not_null},
         {"default", in.default_expression},
         {"identity", in.identity},
         {"generated", in.generated},
         {"binary_copy", in.binary_copy}};
}

static void from_json(const json& in, ColumnDefinition& out) {
  get(in, "name", out.name);
  get(in, "type", out.type);
  get(in, "type_schema", out.type_schema);
  get(in, "type_name", out.type_name);
  get(in, "base_type", out.base_type);
  get(in, "collation", out.collation);
  get(in, "not_null", out.not_null);
  get(in, "default", out.default_expression);
  get(in, "identity", out.identity);
  get(in, "generated", out.generated);
  get(in, "binary_copy", out.binary_copy);
}

static void to_json(json& out, const ConstraintDefinition& in) {
  out = {{"name", in.name},
         {"kind", letter_text(in.kind)},
         {"definition", in.definition},
         {"columns", in.columns},
         {"referenced_schema", in.referenced_schema},
         {"referenced_table", in.referenced_table},
         {"validated", in.validated},
         {"inherited", in.inherited}};
}

static void from_json(const json& in, ConstraintDefinition& out) {
  get(in, "name", out.name);
  get_letter(in, "kind", out.kind);
  get(in, "definition", out.definition);
  get(in, "columns", out.columns);
  get(in, "referenced_schema", out.referenced_schema);
  get(in, "referenced_table", out.referenced_table);
  out.validated = in.value("validated", true);
  get(in, "inherited", out.inherited);
}

static void to_json(json& out, const IndexDefinition& in) {
  out = {{"name", in.name},
         {"definition", in.definition},
         {"unique", in.unique},
         {"columns", in.columns},
         {"inherited", in.inherited}};
}

static void from_json(const json& in, IndexDefinition& out) {
  get(in, "name", out.name);
  get(in, "definition", out.definition);
  get(in, "unique", out.unique);
  get(in, "columns", out.columns);
  get(in, "inherited", out.inherited);
}

static void to_json(json& out, const SequenceDefinition& in) {
  out = {{"schema", in.schema},       {"name", in.name},
         {"type", in.type},           {"start", in.start},
         {"increment", in.increment}, {"minimum", in.minimum},
         {"maximum", in.maximum},     {"cache", in.cache},
         {"cycle", in.cycle},         {"owner_column", in.owner_column},
         {"identity", in.identity}};
}

static void from_json(const json& in, SequenceDefinition& out) {
  get(in, "schema", out.schema);
  get(in, "name", out.name);
  get(in, "type", out.type);
  get(in, "start", out.start);
  get(in, "increment", out.increment);
  get(in, "minimum", out.minimum);
  get(in, "maximum", out.maximum);
  get(in, "cache", out.cache);
  get(in, "cycle", out.cycle);
  get(in, "owner_column", out.owner_column);
  get(in, "identity", out.identity);
}

static void to_json(json& out, const TableDefinition& in) {
  out = {{"schema", in.schema},
         {"name", in.name},
         {"kind", letter_text(in.kind)},
         {"unlogged", in.unlogged},
         {"columns", in.columns},
         {"constraints", in.constraints},
         {"foreign_keys", in.foreign_keys},
         {"indexes", in.indexes},
         {"sequences", in.sequences},
         {"storage_parameters", in.storage_parameters},
         {"partition_by", in.partition_by},
         {"parent_schema", in.parent_schema},
         {"parent_name", in.parent_name},
         {"partition_bound", in.partition_bound},
         {"replica_identity", letter_text(in.replica_identity)},
         {"replica_identity_index", in.replica_identity_index},
         {"identity_columns", in.identity_columns},
         {"partitions", in.partitions}};
}

static void from_json(const json& in, TableDefinition& out) {
  get(in, "schema", out.schema);
  get(in, "name", out.name);
  get_letter(in, "kind", out.kind);
  get(in, "unlogged", out.unlogged);
  get_list(in, "columns", out.columns);
  get_list(in, "constraints", out.constraints);
  get_list(in, "foreign_keys", out.foreign_keys);
  get_list(in, "indexes", out.indexes);
  get_list(in, "sequences", out.sequences);
  get(in, "storage_parameters", out.storage_parameters);
  get(in, "partition_by", out.partition_by);
  get(in, "parent_schema", out.parent_schema);
  get(in, "parent_name", out.parent_name);
  get(in, "partition_bound", out.partition_bound);
  get_letter(in, "replica_identity", out.replica_identity);
  get(in, "replica_identity_index", out.replica_identity_index);
  get(in, "identity_columns", out.identity_columns);
  get_list(in, "partitions", out.partitions);
}

static void to_json(json& out, const AttributeDefinition& in) {
  out = {{"name", in.name}, {"type", in.type}, {"collation", in.collation}};
}

static void from_json(const json& in, AttributeDefinition& out) {
  get(in, "name", out.name);
  get(in, "type", out.type);
  get(in, "collation", out.collation);
}

static void to_json(json& out, const TypeDefinition& in) {
  out = {{"schema", in.schema},
         {"name", in.name},
         {"kind", letter_text(in.kind)},
         {"labels", in.labels},
         {"attributes", in.attributes},
         {"base_type", in.base_type},
         {"default", in.default_expression},
         {"not_null", in.not_null},
         {"collation", in.collation},
         {"checks", in.checks},
         {"subtype_opclass", in.subtype_opclass},
         {"canonical", in.canonical},
         {"subtype_diff", in.subtype_diff},
         {"multirange_name", in.multirange_name}};
}

static void from_json(const json& in, TypeDefinition& out) {
  get(in, "schema", out.schema);
  get(in, "name", out.name);
  get_letter(in, "kind", out.kind);
  get(in, "labels", out.labels);
  get_list(in, "attributes", out.attributes);
  get(in, "base_type", out.base_type);
  get(in, "default", out.default_expression);
  get(in, "not_null", out.not_null);
  get(in, "collation", out.collation);
  get_list(in, "checks", out.checks);
  get(in, "subtype_opclass", out.subtype_opclass);
  get(in, "canonical", out.canonical);
  get(in, "subtype_diff", out.subtype_diff);
  get(in, "multirange_name", out.multirange_name);
}

namespace {

template <class Definition, class Fill>
Result<Definition> parse(std::string_view text, const char* what, Fill fill) {
  const json in = json::parse(text, nullptr, false);
  if (!in.is_object())
    return permanent(ErrorKind::corrupt, "{} is not a JSON object ({} bytes)", what, text.size());
  if (const int version = in.value("version", 0); version != kCatalogVersion)
    return permanent(ErrorKind::corrupt, "{} has version {}; this agent reads {}", what, version,
                     kCatalogVersion);
  Definition out;
  fill(in, out);
  return out;
}

template <class Definition, class Fill>
Result<Definition> parse_caught(std::string_view text, const char* what, Fill fill) {
  try {
    return parse<Definition>(text, what, fill);
  } catch (const json::exception& error) {  // a field of another type
    return permanent(ErrorKind::corrupt, "{}: {}", what, error.what());
  }
}

// Names in SQL_ASCII databases may hold bytes that are not UTF-8.
std::string dump(const json& in) {
  return in.dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace

std::string to_json(const TableDefinition& table) {
  json out;
  to_json(out, table);
  out["version"] = kCatalogVersion;
  return dump(out);
}

Result<TableDefinition> table_from_json(std::string_view text) {
  return parse_caught<TableDefinition>(
      text, "a table definition", [](const json& in, TableDefinition& out) { from_json(in, out); });
}

std::string to_json(const SharedDefinitions& shared) {
  json out = {{"version", kCatalogVersion},
              {"schemas", shared.schemas},
              {"extensions", shared.extensions},
              {"types", shared.types}};
  return dump(out);
}

Result<SharedDefinitions> shared_from_json(std::string_view text) {
  return parse_caught<SharedDefinitions>(text, "shared definitions",
                                         [](const json& in, SharedDefinitions& out) {
                                           get(in, "schemas", out.schemas);
                                           get(in, "extensions", out.extensions);
                                           get_list(in, "types", out.types);
                                         });
}

std::string TableName::quoted() const {
  return quote_qualified(schema, name);
}

std::string TableDefinition::quoted_name() const {
  return quote_qualified(schema, name);
}

std::vector<std::string> TableDefinition::copied_columns() const {
  std::vector<std::string> out;
  for (const ColumnDefinition& column : columns)
    if (column.generated.empty()) out.push_back(column.name);
  return out;
}

bool TableDefinition::binary_copy() const {
  for (const ColumnDefinition& column : columns)
    if (column.generated.empty() && !column.binary_copy) return false;
  return true;
}

const ColumnDefinition* TableDefinition::column(std::string_view wanted) const {
  for (const ColumnDefinition& column : columns)
    if (column.name == wanted) return &column;
  return nullptr;
}

}  // namespace farshore::postgres
