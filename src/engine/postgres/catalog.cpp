#include "engine/postgres/catalog.h"

#include <algorithm>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

using nlohmann::json;

constexpr const char* kTablesSql = R"(
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence = 'u',
       array_to_string(c.reloptions, ', '),
       CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
       pn.nspname, pc.relname, pg_get_expr(c.relpartbound, c.oid), c.relreplident,
       (SELECT ic.relname FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid
         WHERE i.indrelid = c.oid AND i.indisreplident),
       (SELECT json_agg(a.attname ORDER BY k.place)
          FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, place), pg_attribute a
         WHERE i.indrelid = c.oid AND i.indisvalid AND i.indimmediate AND k.place <= i.indnkeyatts
           AND a.attrelid = c.oid AND a.attnum = k.attnum
           AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                                   WHEN 'i' THEN i.indisreplident ELSE false END)
  FROM unnest($1::text[], $2::text[]) WITH ORDINALITY w(schema, name, place)
  JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')
  LEFT JOIN pg_inherits h ON c.relispartition AND h.inhrelid = c.oid
  LEFT JOIN pg_class pc ON pc.oid = h.inhparent
  LEFT JOIN pg_namespace pn ON pn.oid = pc.relnamespace
 ORDER BY w.place)";

// Binary COPY embeds OIDs in arrays and composites, and sends reg* types as OIDs: only what is
// built in means the same on two servers. xml carries its encoding in text only. What is infinity
// as an interval from 17 on is another value before. aclitem has no binary form, its array claims
// one.
constexpr const char* kColumnsSql = R"(
SELECT a.attrelid, a.attname, format_type(a.atttypid, a.atttypmod), tn.nspname, t.typname,
       CASE WHEN t.typtype = 'd' THEN (
         WITH RECURSIVE beneath AS (
           SELECT t.typbasetype AS oid
           UNION ALL SELECT d.typbasetype FROM beneath b
                       JOIN pg_type d ON d.oid = b.oid AND d.typtype = 'd')
         SELECT format_type(b.oid, NULL) FROM beneath b
           JOIN pg_type p ON p.oid = b.oid AND p.typtype <> 'd') END,
       CASE WHEN a.attcollation <> 0 AND a.attcollation <> t.typcollation
            THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) END,
       a.attnotnull, pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated,
       t.oid < 10000 AND t.typsend <> 0 AND t.typreceive <> 0
         AND t.typname !~ ('^_?(reg(proc|procedure|oper|operator|class|type|role|namespace'
             || '|config|dictionary|collation|database)|xml|interval|aclitem)$')
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  JOIN pg_namespace tn ON tn.oid = t.typnamespace
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  LEFT JOIN pg_collation co ON co.oid = a.attcollation
  LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
 WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attrelid, a.attnum)";

constexpr const char* kConstraintsSql = R"(
SELECT o.conrelid, o.conname, o.contype, pg_get_constraintdef(o.oid),
       (SELECT json_agg(a.attname ORDER BY k.place)
          FROM unnest(o.conkey) WITH ORDINALITY k(attnum, place)
          JOIN pg_attribute a ON a.attrelid = o.conrelid AND a.attnum = k.attnum),
       fn.nspname, fc.relname, o.convalidated, o.conparentid <> 0 OR NOT o.conislocal
  FROM pg_constraint o
  LEFT JOIN pg_class fc ON fc.oid = o.confrelid
  LEFT JOIN pg_namespace fn ON fn.oid = fc.relnamespace
 WHERE o.conrelid = ANY($1::oid[]) AND o.contype IN ('p', 'u', 'c', 'x', 'f')
 ORDER BY o.conrelid, array_position(ARRAY['p','u','c','x','f'], o.contype::text), o.conname)";

constexpr const char* kIndexesSql = R"(
SELECT i.indrelid, c.relname, quote_ident(c.relname), pg_get_indexdef(i.indexrelid), i.indisunique,
       CASE WHEN i.indpred IS NULL AND i.indexprs IS NULL AND i.indimmediate THEN
         (SELECT json_agg(a.attname ORDER BY k.place)
            FROM unnest(i.indkey) WITH ORDINALITY k(attnum, place)
            JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
           WHERE k.place <= i.indnkeyatts) END,
       c.relispartition
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
 WHERE i.indrelid = ANY($1::oid[]) AND i.indislive AND i.indisvalid
   AND NOT EXISTS (SELECT FROM pg_constraint o
                    WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u', 'x')
                      AND o.conrelid = i.indrelid)
 ORDER BY i.indrelid, c.relname)";

constexpr const char* kSequencesSql = R"(
WITH used AS (
  SELECT d.refobjid AS relation, d.objid AS sequence, d.refobjsubid AS owner,
         d.deptype = 'i' AS identity
    FROM pg_depend d
   WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
     AND d.deptype IN ('a', 'i') AND d.refobjid = ANY($1::oid[]) AND d.refobjsubid > 0
  UNION ALL
  SELECT f.adrelid, d.refobjid, 0, false
    FROM pg_attrdef f
    JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
     AND d.refclassid = 'pg_class'::regclass
   WHERE f.adrelid = ANY($1::oid[]))
SELECT u.relation, n.nspname, c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement,
       s.seqmin, s.seqmax, s.seqcache, s.seqcycle, max(a.attname), bool_or(u.identity)
  FROM used u
  JOIN pg_class c ON c.oid = u.sequence AND c.relkind = 'S'
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_sequence s ON s.seqrelid = c.oid
  LEFT JOIN pg_attribute a ON u.owner > 0 AND a.attrelid = u.relation AND a.attnum = u.owner
 GROUP BY u.relation, n.nspname, c.relname, s.seqrelid, s.seqtypid, s.seqstart, s.seqincrement,
          s.seqmin, s.seqmax, s.seqcache, s.seqcycle
 ORDER BY u.relation, c.relname)";

// User types that columns need, with the types these are made of; `needs` are edges between them.
constexpr const char* kTypesSql = R"(
WITH RECURSIVE edge(type, part) AS (
  SELECT oid, typelem FROM pg_type WHERE typelem <> 0 AND typcategory = 'A'
  UNION ALL SELECT oid, typbasetype FROM pg_type WHERE typbasetype <> 0
  UNION ALL SELECT rngtypid, rngsubtype FROM pg_range
  UNION ALL SELECT rngmultitypid, rngtypid FROM pg_range
  UNION ALL SELECT t.oid, a.atttypid
              FROM pg_type t JOIN pg_class c ON c.oid = t.typrelid AND c.relkind = 'c'
              JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
need(oid) AS (
  SELECT a.atttypid FROM pg_attribute a
   WHERE a.attrelid = ANY($1::oid[]) AND a.attnum > 0 AND NOT a.attisdropped
  UNION SELECT e.part FROM need JOIN edge e ON e.type = need.oid)
SELECT t.oid, n.nspname, t.typname, t.typtype, x.extname,
       (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_enum e
         WHERE e.enumtypid = t.oid),
       (SELECT json_agg(json_build_array(a.attname, format_type(a.atttypid, a.atttypmod),
                 CASE WHEN a.attcollation <> 0 AND a.attcollation <> y.typcollation
                      THEN quote_ident(cn.nspname) || '.' || quote_ident(co.collname) ELSE '' END)
                 ORDER BY a.attnum)
          FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
          LEFT JOIN pg_collation co ON co.oid = a.attcollation
          LEFT JOIN pg_namespace cn ON cn.oid = co.collnamespace
         WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
       CASE WHEN t.typtype = 'd' THEN format_type(t.typbasetype, t.typtypmod)
            ELSE format_type(r.rngsubtype, NULL) END,
       t.typdefault, t.typnotnull,
       CASE WHEN t.typtype = 'd' AND t.typcollation <> 0 AND t.typcollation <> b.typcollation
              OR r.rngcollation <> 0 AND r.rngcollation <> st.typcollation
            THEN quote_ident(tcn.nspname) || '.' || quote_ident(tco.collname) END,
       (SELECT json_agg(json_build_array(k.conname, pg_get_constraintdef(k.oid), k.convalidated)
                        ORDER BY k.conname)
          FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c'),
       quote_ident(pn.nspname) || '.' || quote_ident(p.opcname),
       NULLIF(r.rngcanonical, 0)::regproc, NULLIF(r.rngsubdiff, 0)::regproc, m.typname,
       (SELECT json_agg(DISTINCT CASE WHEN pt.typcategory = 'A' AND pt.typelem <> 0
                                      THEN pt.typelem ELSE pt.oid END)
          FROM edge e JOIN pg_type pt ON pt.oid = e.part WHERE e.type = t.oid)
  FROM (SELECT DISTINCT oid FROM need) w
  JOIN pg_type t ON t.oid = w.oid
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_class tc ON tc.oid = t.typrelid
  LEFT JOIN pg_depend d ON d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e'
  LEFT JOIN pg_extension x ON x.oid = d.refobjid
  LEFT JOIN pg_range r ON r.rngtypid = t.oid
  LEFT JOIN pg_type st ON st.oid = r.rngsubtype
  LEFT JOIN pg_type m ON m.oid = r.rngmultitypid
  LEFT JOIN pg_opclass p ON p.oid = r.rngsubopc
  LEFT JOIN pg_namespace pn ON pn.oid = p.opcnamespace
  LEFT JOIN pg_type b ON b.oid = t.typbasetype
  LEFT JOIN pg_collation tco ON tco.oid = COALESCE(NULLIF(r.rngcollation, 0), t.typcollation)
  LEFT JOIN pg_namespace tcn ON tcn.oid = tco.collnamespace
 WHERE t.oid >= 16384 AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'c' AND tc.relkind = 'c'
                           OR x.extname IS NOT NULL)
 ORDER BY t.oid)";

std::string array_literal(const std::vector<std::string>& items) {
  std::string out = "{";
  for (const std::string& item : items) {
    out += out.size() > 1 ? ",\"" : "\"";
    for (char c : item) {
      if (c == '"' || c == '\\') out += '\\';
      out += c;
    }
    out += '"';
  }
  return out + "}";
}

// Names in answers are qualified only while nothing is on the search path.
class EmptySearchPath {
 public:
  static Result<EmptySearchPath> set(Connection& connection, Deadline deadline) {
    FARSHORE_TRY_ASSIGN(
        const Rows before,
        connection.query(
            "SELECT current_setting('search_path'), set_config('search_path', '', false)",
            deadline));
    return EmptySearchPath(std::string(before.text(0, 0)));
  }
  Result<void> restore(Connection& connection, Deadline deadline) const {
    FARSHORE_TRY(connection.query(
        "SELECT set_config('search_path', " + quote_literal(before_) + ", false)", deadline));
    return {};
  }

 private:
  explicit EmptySearchPath(std::string before) : before_(std::move(before)) {}
  std::string before_;
};

// One row of an answer, read column by column.
class RowReader {
 public:
  RowReader(const Rows& rows, int row) : rows_(rows), row_(row) {}
  std::string text() { return std::string(rows_.text(row_, column_++)); }
  bool flag() { return text() == "t"; }
  char letter(char otherwise) {
    const std::string value = text();
    return value.empty() ? otherwise : value.front();
  }
  std::vector<std::string> names() {
    std::vector<std::string> out;
    for (const json& item : list()) out.push_back(item.get<std::string>());
    return out;
  }
  json list() {
    const std::string value = text();
    json out = json::parse(value, nullptr, false);  // broken: bytes that are not UTF-8
    return out.is_array() ? out : json::array();
  }

 private:
  const Rows& rows_;
  int row_;
  int column_ = 0;
};

struct FoundTables {
  std::vector<TableDefinition> tables;
  std::map<std::string, std::size_t> by_oid;
  Parameter oids;
};

// Runs a query whose first column is the table's oid.
Result<void> for_each_row(Connection& connection, FoundTables& found, const char* sql,
                          Deadline deadline,
                          const std::function<void(TableDefinition&, RowReader&)>& take) {
  FARSHORE_TRY_ASSIGN(const Rows rows, connection.query(sql, {found.oids}, deadline));
  for (int i = 0; i < rows.count(); ++i) {
    RowReader row(rows, i);
    take(found.tables[found.by_oid.at(row.text())], row);
  }
  return {};
}

Result<FoundTables> find_tables(Connection& connection, const std::vector<TableName>& names,
                                Deadline deadline) {
  std::vector<std::string> schemas, tables, oids;
  for (const TableName& name : names) schemas.push_back(name.schema), tables.push_back(name.name);
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query(kTablesSql, {array_literal(schemas), array_literal(tables)}, deadline));
  FoundTables found;
  for (int i = 0; i < rows.count(); ++i) {
    RowReader row(rows, i);
    oids.push_back(row.text());
    found.by_oid[oids.back()] = found.tables.size();
    TableDefinition& table = found.tables.emplace_back();
    table.schema = row.text();
    table.name = row.text();
    table.kind = row.letter('r');
    table.unlogged = row.flag();
    table.storage_parameters = row.text();
    table.partition_by = row.text();
    table.parent_schema = row.text();
    table.parent_name = row.text();
    table.partition_bound = row.text();
    table.replica_identity = row.letter('d');
    table.replica_identity_index = row.text();
    table.identity_columns = row.names();
  }
  found.oids = array_literal(oids);
  return found;
}

void take_column(TableDefinition& table, RowReader& row) {
  ColumnDefinition& column = table.columns.emplace_back();
  column.name = row.text();
  column.type = row.text();
  column.type_schema = row.text();
  column.type_name = row.text();
  column.base_type = row.text();
  column.collation = row.text();
  column.not_null = row.flag();
  column.default_expression = row.text();
  column.identity = row.text();
  column.generated = row.text();
  column.binary_copy = row.flag();
}

void take_constraint(TableDefinition& table, RowReader& row) {
  ConstraintDefinition constraint;
  constraint.name = row.text();
  constraint.kind = row.letter('c');
  constraint.definition = row.text();
  constraint.columns = row.names();
  constraint.referenced_schema = row.text();
  constraint.referenced_table = row.text();
  constraint.validated = row.flag();
  constraint.inherited = row.flag();
  (constraint.kind == 'f' ? table.foreign_keys : table.constraints)
      .push_back(std::move(constraint));
}

void take_index(TableDefinition& table, RowReader& row) {
  IndexDefinition& index = table.indexes.emplace_back();
  index.name = row.text();
  const std::string quoted = row.text();
  index.definition = row.text();
  index.unique = row.flag();
  index.columns = row.names();
  index.inherited = row.flag();
  // The server writes a partitioned table's index as ON ONLY; made so it would have no parts.
  const std::string_view only = " ON ONLY ";
  const std::size_t at = index.definition.find(quoted + std::string(only));
  if (table.kind == 'p' && at != std::string::npos)
    index.definition.replace(at + quoted.size(), only.size(), " ON ");
}

void take_sequence(TableDefinition& table, RowReader& row) {
  SequenceDefinition& sequence = table.sequences.emplace_back();
  sequence.schema = row.text();
  sequence.name = row.text();
  sequence.type = row.text();
  sequence.start = row.text();
  sequence.increment = row.text();
  sequence.minimum = row.text();
  sequence.maximum = row.text();
  sequence.cache = row.text();
  sequence.cycle = row.flag();
  sequence.owner_column = row.text();
  sequence.identity = row.flag();
}

Result<FoundTables> read_found(Connection& connection, const std::vector<TableName>& tables,
                               Deadline deadline) {
  FARSHORE_TRY_ASSIGN(FoundTables found, find_tables(connection, tables, deadline));
  FARSHORE_TRY(for_each_row(connection, found, kColumnsSql, deadline, take_column));
  FARSHORE_TRY(for_each_row(connection, found, kConstraintsSql, deadline, take_constraint));
  FARSHORE_TRY(for_each_row(connection, found, kIndexesSql, deadline, take_index));
  FARSHORE_TRY(for_each_row(connection, found, kSequencesSql, deadline, take_sequence));
  return found;
}

struct FoundType {
  TypeDefinition definition;
  std::string extension;
  std::vector<std::uint64_t> needs;
};

FoundType take_type(RowReader& row) {
  FoundType found;
  TypeDefinition& type = found.definition;
  type.schema = row.text();
  type.name = row.text();
  type.kind = row.letter('e');
  found.extension = row.text();
  type.labels = row.names();
  for (const json& item : row.list())
    type.attributes.push_back(
        {item[0].get<std::string>(), item[1].get<std::string>(), item[2].get<std::string>()});
  type.base_type = row.text();
  type.default_expression = row.text();
  type.not_null = row.flag();
  type.collation = row.text();
  for (const json& item : row.list())
    type.checks.push_back({.name = item[0].get<std::string>(),
                           .definition = item[1].get<std::string>(),
                           .validated = item[2].get<bool>()});
  type.subtype_opclass = row.text();
  type.canonical = row.text();
  type.subtype_diff = row.text();
  type.multirange_name = row.text();
  for (const json& item : row.list()) {
    // json has oids as text or number, by version
    found.needs.push_back(item.is_string() ? std::stoull(item.get<std::string>())
                                           : item.get<std::uint64_t>());
  }
  return found;
}

// Types in an order in which each comes after those it is made of.
class TypeSorter {
 public:
  explicit TypeSorter(const std::map<std::uint64_t, FoundType>& types) : types_(types) {}

  std::vector<TypeDefinition> sorted() {
    for (const auto& [oid, type] : types_) visit(oid);
    return std::move(sorted_);
  }

 private:
  void visit(std::uint64_t oid) {
    const auto found = types_.find(oid);
    if (found == types_.end() || !visited_.insert(oid).second) return;
    for (std::uint64_t part : found->second.needs) visit(part);
    if (found->second.extension.empty()) sorted_.push_back(found->second.definition);
  }

  const std::map<std::uint64_t, FoundType>& types_;
  std::set<std::uint64_t> visited_;
  std::vector<TypeDefinition> sorted_;
};

Result<SharedDefinitions> read_shared_found(Connection& connection,
                                            const std::vector<TableName>& tables,
                                            Deadline deadline) {
  FARSHORE_TRY_ASSIGN(FoundTables found, find_tables(connection, tables, deadline));
  FARSHORE_TRY(for_each_row(connection, found, kSequencesSql, deadline, take_sequence));
  FARSHORE_TRY_ASSIGN(const Rows rows, connection.query(kTypesSql, {found.oids}, deadline));
  std::map<std::uint64_t, FoundType> types;
  std::set<std::string> schemas, extensions;
  for (int i = 0; i < rows.count(); ++i) {
    RowReader row(rows, i);
    const std::uint64_t oid = std::stoull(row.text());
    const FoundType& type = types[oid] = take_type(row);
    if (!type.extension.empty()) extensions.insert(type.extension);
    schemas.insert(type.definition.schema);
  }
  for (const TableDefinition& table : found.tables) {
    schemas.insert(table.schema);
    for (const SequenceDefinition& sequence : table.sequences) schemas.insert(sequence.schema);
  }
  return SharedDefinitions{.schemas = {schemas.begin(), schemas.end()},
                           .extensions = {extensions.begin(), extensions.end()},
                           .types = TypeSorter(types).sorted()};
}

}  // namespace

std::string values_sql(const std::vector<TableName>& names) {
  std::string out;
  for (const TableName& name : names)
    out += fmt::format("{}({}, {})", out.empty() ? "(VALUES " : ", ", quote_literal(name.schema),
                       quote_literal(name.name));
  if (out.empty()) out = "(SELECT NULL, NULL WHERE false";
  return out + ") AS w(schema, name)";
}

Result<std::vector<TableDefinition>> read_tables(Connection& connection,
                                                 const std::vector<TableName>& tables,
                                                 Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const EmptySearchPath path, EmptySearchPath::set(connection, deadline));
  FARSHORE_TRY_ASSIGN(FoundTables found, read_found(connection, tables, deadline));
  FARSHORE_TRY(path.restore(connection, deadline));
  return std::move(found.tables);
}

Result<SharedDefinitions> read_shared(Connection& connection, const std::vector<TableName>& tables,
                                      Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const EmptySearchPath path, EmptySearchPath::set(connection, deadline));
  FARSHORE_TRY_ASSIGN(SharedDefinitions shared, read_shared_found(connection, tables, deadline));
  FARSHORE_TRY(path.restore(connection, deadline));
  return shared;
}

}  // namespace farshore::postgres
