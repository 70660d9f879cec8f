#include "engine/postgres/table_differences.h"

#include <gmock/gmock.h>

#include <map>

namespace farshore::postgres {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr int kTarget = 180001;

ColumnDefinition column(const std::string& name, const std::string& type) {
  ColumnDefinition out;
  out.name = name;
  out.type = type;
  return out;
}

TableDefinition orders() {
  TableDefinition table;
  table.schema = "public";
  table.name = "orders";
  table.columns = {column("id", "bigint"), column("what", "character varying(20)")};
  table.columns[0].not_null = true;
  table.constraints = {
      {.name = "orders_pkey", .kind = 'p', .definition = "PRIMARY KEY (id)", .columns = {"id"}}};
  table.identity_columns = {"id"};
  return table;
}

class TableDifferences : public testing::Test {
 protected:
  // "level code: what -> remedy" of each.
  std::vector<std::string> all() {
    auto found = column_differences(source, target, kTarget);
    for (TableDifference& more : key_differences(source, target)) found.push_back(std::move(more));
    std::vector<std::string> out;
    out.reserve(found.size());
    constexpr const char* kLevels[] = {"note", "warning", "error"};
    for (const TableDifference& d : found)
      out.push_back(fmt::format("{} {}: {} -> {}", kLevels[static_cast<int>(d.level)], d.code,
                                d.what, d.remedy));
    return out;
  }
  TableDefinition source = orders(), target = orders();
};

TEST_F(TableDifferences, EqualTablesHaveNone) {
  EXPECT_THAT(all(), IsEmpty());
}

TEST_F(TableDifferences, AColumnThatIsMissingComesWithTheLineToAddIt) {
  source.columns.push_back(column("price", "numeric(10,2)"));
  EXPECT_THAT(all(), ElementsAre("error column_missing: column price is missing -> ALTER TABLE "
                                 "public.orders ADD COLUMN price numeric(10,2);"));
}

TEST_F(TableDifferences, AnotherTypeIsAnErrorAndALongerTextIsNot) {
  target.columns[0].type = "integer";
  target.columns[1].type = "character varying(40)";
  EXPECT_THAT(all(), ElementsAre("error column_type: column id is integer here and bigint at the "
                                 "source -> ALTER TABLE public.orders ALTER COLUMN id TYPE bigint "
                                 "USING id::bigint;"));
  target.columns[0].type = "bigint";
  target.columns[1].type = "character varying(10)";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("error column_type: column what is")));
}

TEST_F(TableDifferences, ATypeWithoutLimitHoldsWhatHasOneAndNotTheOtherWayRound) {
  for (const auto& [limited, unlimited] : std::map<std::string, std::string>{
           {"numeric(10,2)", "numeric"},
           {"numeric(10,2)[]", "numeric[]"},
           {"timestamp(3) with time zone", "timestamp with time zone"},
           {"bit varying(8)", "bit varying"}}) {
    source.columns[1].type = limited;
    target.columns[1].type = unlimited;
    EXPECT_THAT(all(), IsEmpty()) << limited;
    std::swap(source.columns[1].type, target.columns[1].type);
    EXPECT_THAT(all(), ElementsAre(HasSubstr("error column_type"))) << limited;
  }
  source.columns[1].type = "numeric(10,2)";
  target.columns[1].type = "numeric(12,2)";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("error column_type")));
  source.columns[1].type = "s.\"odd(1)\"";
  target.columns[1].type = "s.\"odd(2)\"";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("error column_type")));
}

TEST_F(TableDifferences, ADomainIsWhatLiesBeneathIt) {
  target.columns[0].type = "public.number";
  target.columns[0].base_type = "bigint";
  EXPECT_THAT(all(), IsEmpty());
  std::swap(source.columns[0], target.columns[0]);
  EXPECT_THAT(all(), IsEmpty());
  target.columns[0].type = "public.word";
  target.columns[0].base_type = "text";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("error column_type: column id is public.word here and "
                                           "public.number at the source")));
}

TEST_F(TableDifferences, AColumnOfTheTargetAloneMustFillItself) {
  target.columns.push_back(column("extra", "text"));
  EXPECT_THAT(all(), ElementsAre("note column_extra: column extra is not at the source -> "));
  target.columns.back().not_null = true;
  EXPECT_THAT(
      all(), ElementsAre("error column_not_null: column extra is not at the source and must not be "
                         "NULL -> ALTER TABLE public.orders ALTER COLUMN extra DROP NOT NULL;"));
  target.columns.back().default_expression = "'x'";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("note column_extra")));
}

TEST_F(TableDifferences, NotNullAtTheTargetAloneIsAWarning) {
  target.columns[1].not_null = true;
  EXPECT_THAT(all(), ElementsAre(HasSubstr("warning column_not_null: column what must not be NULL "
                                           "here and may be at the source")));
  target.columns[1].identity = "d";
  const std::string alter = "ALTER TABLE public.orders ALTER COLUMN what ";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("-> " + alter + "DROP IDENTITY IF EXISTS; " + alter +
                                           "DROP NOT NULL;"),
                                 HasSubstr("-> " + alter + "DROP IDENTITY IF EXISTS;")))
      << "in either order, since the server refuses NULL in an identity column";
}

TEST_F(TableDifferences, GeneratedOnOneSideOnly) {
  source.columns.push_back(column("total", "integer"));
  source.columns.back().generated = "s";
  source.columns.back().default_expression = "(id + 1)";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("note column_generated: column total is missing")));

  target.columns.push_back(column("total", "integer"));
  EXPECT_THAT(all(), ElementsAre(HasSubstr("warning column_generated: column total is generated at "
                                           "the source, whose values do not travel")));
  target.columns.back().not_null = true;
  EXPECT_THAT(all(), ElementsAre(HasSubstr("error column_not_null: column total is generated")));

  std::swap(source.columns, target.columns);
  EXPECT_THAT(all(), ElementsAre("error column_generated: column total is generated here and not "
                                 "at the source -> ALTER TABLE public.orders ALTER COLUMN total "
                                 "DROP EXPRESSION;"));
}

TEST_F(TableDifferences, AnIdentityColumnThatTheTargetLacksIsMadeAfterItsDefaultIsDropped) {
  source.columns[0].identity = "a";
  target.columns[0].default_expression = "nextval('s'::regclass)";
  EXPECT_THAT(all(), ElementsAre(HasSubstr(
                         "ALTER TABLE public.orders ALTER COLUMN id DROP DEFAULT; ALTER TABLE "
                         "public.orders ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY;")));
  target = orders();
  target.columns[0].identity = "d";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("warning column_identity: column id is GENERATED BY "
                                           "DEFAULT AS IDENTITY here and GENERATED ALWAYS")));
}

TEST_F(TableDifferences, ADefaultThatTheTargetLacksIsANote) {
  source.columns[1].default_expression = "'new'::text";
  EXPECT_THAT(all(), ElementsAre(HasSubstr("ALTER COLUMN what SET DEFAULT 'new'::text;")));
}

TEST_F(TableDifferences, WithoutAKeyTheTargetReadsTheWholeTable) {
  target.constraints.clear();
  EXPECT_THAT(all(),
              ElementsAre(HasSubstr("warning no_key: no primary key or unique index is on (id)")));
  EXPECT_THAT(all()[0], HasSubstr("-> ALTER TABLE public.orders ADD PRIMARY KEY (id);"));

  target.indexes = {{.name = "i", .unique = true, .columns = {"id"}}};
  EXPECT_THAT(all(), IsEmpty());
  target.indexes = {{.name = "partial", .unique = true}};
  EXPECT_THAT(all(), ElementsAre(HasSubstr("warning no_key")));

  target.indexes.clear();
  target.constraints = {
      {.name = "k", .kind = 'u', .definition = "UNIQUE (id) DEFERRABLE", .columns = {"id"}}};
  EXPECT_THAT(all(), ElementsAre(HasSubstr("warning no_key")));
}

TEST_F(TableDifferences, AKeyIsOneInAnyOrderOfItsColumns) {
  source.identity_columns = source.constraints[0].columns = {"id", "what"};
  target.constraints.clear();
  target.indexes = {{.name = "i", .unique = true, .columns = {"what", "id"}}};
  EXPECT_THAT(all(), IsEmpty());
}

TEST_F(TableDifferences, ConstraintsOfTheTargetAloneMayRefuseRows) {
  target.constraints.push_back(
      {.name = "what_key", .kind = 'u', .definition = "UNIQUE (what)", .columns = {"what"}});
  EXPECT_THAT(all(), ElementsAre("warning constraint_extra: constraint what_key (UNIQUE (what)) is "
                                 "not at the source: it may refuse rows that the source takes -> "
                                 "ALTER TABLE public.orders DROP CONSTRAINT what_key;"));
  source.indexes = {{.name = "what_index", .unique = true, .columns = {"what"}}};
  EXPECT_THAT(all(), IsEmpty());
}

}  // namespace
}  // namespace farshore::postgres
