#include "engine/postgres/sink_catalog.h"

#include <cstdlib>

#include "engine/postgres/quoting.h"
#include "engine/postgres/sink_pipeline.h"

namespace farshore::postgres {
namespace {

constexpr const char* kRelationQuery =
    "SELECT c.oid, c.relkind, pg_catalog.row_security_active(c.oid),"
    " EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisexclusion),"
    " EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND"
    "         g.tgenabled = ANY (CASE WHEN $3 THEN '{R,A}' ELSE '{O,A}' END::\"char\"[])),"
    " NOT $3 AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.confrelid = c.oid AND"
    "         k.contype = 'f' AND k.confdeltype IN ('c', 'n', 'd')),"
    " pg_catalog.quote_ident(current_user)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p', 'f', 'v', 'm')";

// A domain's base type lies at the end of its chain of domains.
constexpr const char* kColumnsQuery =
    "WITH RECURSIVE chain AS ("
    " SELECT t.oid AS start, t.oid, t.typtype, t.typbasetype, t.typnamespace, t.typname FROM "
    "pg_catalog.pg_type t"
    " WHERE t.oid IN (SELECT atttypid FROM pg_catalog.pg_attribute WHERE attrelid = $1::oid AND "
    "attnum > 0)"
    " UNION ALL"
    " SELECT chain.start, t.oid, t.typtype, t.typbasetype, t.typnamespace, t.typname FROM chain"
    " JOIN pg_catalog.pg_type t ON chain.typtype = 'd' AND t.oid = chain.typbasetype)"
    " SELECT a.attname, a.atttypid, a.atttypmod, t.typarray, pg_catalog.format_type(a.atttypid, "
    "a.atttypmod),"
    " pg_catalog.format_type(a.atttypid, -1), n.nspname, t.typname, bn.nspname, b.typname, b.oid,"
    " t.typarray = 0 OR t.typcategory = 'A' OR b.typtype = 'c',"
    " b.typname = 'varchar' OR EXISTS (SELECT FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m"
    "   ON m.oid = o.opcmethod WHERE m.amname = 'btree' AND o.opcdefault AND o.opcintype = b.oid),"
    " a.attnotnull, a.atthasdef OR a.attidentity <> '', a.attidentity = 'a', a.attgenerated <> '', "
    "a.attnum,"
    " coalesce((SELECT pg_catalog.format('OPERATOR(%I.%s)', s.nspname, p.oprname)"
    "   FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod"
    "   JOIN pg_catalog.pg_amop e ON e.amopfamily = o.opcfamily AND e.amoplefttype = o.opcintype"
    "    AND e.amoprighttype = o.opcintype AND e.amopstrategy = CASE m.amname WHEN 'btree' THEN 3 "
    "ELSE 1 END"
    "   JOIN pg_catalog.pg_operator p ON p.oid = e.amopopr"
    "   JOIN pg_catalog.pg_namespace s ON s.oid = p.oprnamespace"
    "   WHERE m.amname IN ('btree', 'hash') AND o.opcdefault AND o.opcintype = b.oid"
    "    AND s.nspname <> 'pg_catalog' ORDER BY m.amname LIMIT 1), '=')"
    " FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid"
    " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
    " JOIN chain b ON b.start = a.atttypid AND b.typtype <> 'd'"
    " JOIN pg_catalog.pg_namespace bn ON bn.oid = b.typnamespace"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

constexpr const char* kUniquesQuery =
    "SELECT i.indexrelid, x.relname,"
    " i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL, k.attnum"
    " FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid,"
    " LATERAL (SELECT i.indkey[p] AS attnum, p FROM pg_catalog.generate_series(0, i.indnkeyatts - "
    "1) p) k"
    " WHERE i.indrelid = $1::oid AND i.indisunique"
    " ORDER BY i.indisprimary DESC, i.indexrelid, k.p";

std::string text(const Answer& answer, int row, int column) {
  return PQgetvalue(answer.get(), row, column);
}
bool flag(const Answer& answer, int row, int column) {
  return *PQgetvalue(answer.get(), row, column) == 't';
}
std::uint32_t number(const Answer& answer, int row, int column) {
  return static_cast<std::uint32_t>(
      std::strtoul(PQgetvalue(answer.get(), row, column), nullptr, 10));
}

TargetColumn column_of(const Answer& answer, int row) {
  return {.name = text(answer, row, 0),
          .type = number(answer, row, 1),
          .modifier = std::atoi(PQgetvalue(answer.get(), row, 2)),
          .array_type = number(answer, row, 3),
          .type_text = text(answer, row, 4),
          .bare_type_text = text(answer, row, 5),
          .type_schema = text(answer, row, 6),
          .type_name = text(answer, row, 7),
          .base_schema = text(answer, row, 8),
          .base_name = text(answer, row, 9),
          .base_type = number(answer, row, 10),
          .set_as_text = flag(answer, row, 11),
          .has_equality = flag(answer, row, 12),
          .equals = text(answer, row, 18),
          .not_null = flag(answer, row, 13),
          .has_default = flag(answer, row, 14),
          .identity_always = flag(answer, row, 15),
          .generated = flag(answer, row, 16)};
}

void add_uniques(TargetRelation& table, const Answer& answer, const std::vector<int>& numbers) {
  std::uint32_t last = 0;
  for (int row = 0; row < PQntuples(answer.get()); ++row) {
    if (const std::uint32_t index = number(answer, row, 0);
        table.uniques.empty() || index != last) {
      table.uniques.push_back({.name = text(answer, row, 1), .finds_rows = flag(answer, row, 2)});
      last = index;
    }
    UniqueIndex& unique = table.uniques.back();
    const int attribute = std::atoi(PQgetvalue(answer.get(), row, 3));
    std::size_t at = 0;
    while (at < numbers.size() && numbers[at] != attribute) ++at;
    if (at == numbers.size()) {
      unique.finds_rows = false;  // an expression
      continue;
    }
    unique.columns.push_back(at);
    if (!table.columns[at].not_null) unique.finds_rows = false;
  }
}

}  // namespace

bool TargetRelation::has_identity_always() const {
  for (const TargetColumn& column : columns)
    if (column.identity_always) return true;
  return false;
}

int TargetRelation::find_column(const std::string& column) const {
  for (std::size_t i = 0; i < columns.size(); ++i)
    if (columns[i].name == column) return static_cast<int>(i);
  return -1;
}

Result<std::optional<TargetRelation>> read_target_relation(Pipeline& pipeline,
                                                           const std::string& schema,
                                                           const std::string& name,
                                                           bool replica_role) {
  const char* wanted[] = {schema.c_str(), name.c_str(), replica_role ? "t" : "f"};
  FARSHORE_TRY_ASSIGN(Answer answer, pipeline.query(kRelationQuery, wanted));
  if (PQntuples(answer.get()) == 0) return std::optional<TargetRelation>();
  TargetRelation table{.oid = number(answer, 0, 0),
                       .schema = schema,
                       .name = name,
                       .quoted = quote_qualified(schema, name),
                       .kind = *PQgetvalue(answer.get(), 0, 1),
                       .has_exclusion = flag(answer, 0, 3),
                       .has_firing_triggers = flag(answer, 0, 4),
                       .delete_cascades = flag(answer, 0, 5),
                       .row_security = flag(answer, 0, 2),
                       .role = text(answer, 0, 6)};
  const std::string oid = std::to_string(table.oid);
  const char* of_table[] = {oid.c_str()};
  FARSHORE_TRY_ASSIGN(answer, pipeline.query(kColumnsQuery, of_table));
  std::vector<int> numbers;
  for (int row = 0; row < PQntuples(answer.get()); ++row) {
    table.columns.push_back(column_of(answer, row));
    numbers.push_back(std::atoi(PQgetvalue(answer.get(), row, 17)));
  }
  FARSHORE_TRY_ASSIGN(answer, pipeline.query(kUniquesQuery, of_table));
  add_uniques(table, answer, numbers);
  return std::optional<TargetRelation>(std::move(table));
}

Result<std::string> target_type_text(Pipeline& pipeline, std::uint32_t type,
                                     std::int32_t modifier) {
  const std::string oid = std::to_string(type), typmod = std::to_string(modifier);
  const char* values[] = {oid.c_str(), typmod.c_str()};
  FARSHORE_TRY_ASSIGN(Answer answer,
                      pipeline.query("SELECT pg_catalog.format_type($1::oid, $2::int)", values));
  return text(answer, 0, 0);
}

}  // namespace farshore::postgres
