#include "engine/postgres/table_rules.h"

#include <gmock/gmock.h>

#include "engine/postgres/lsn.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Key;
using testing::Pair;

TableName named(const std::string& name) {
  return {"public", name};
}

ReplicaIdentity key(bool there = true) {
  return {.index = there ? "k" : ""};
}
CatalogTable table(const std::string& name, bool has_key = true) {
  return {.name = named(name), .identity = key(has_key)};
}
CatalogTable part(const std::string& name, const std::string& root, bool has_key = true) {
  return {.name = named(name), .root = named(root), .identity = key(has_key)};
}

TEST(TableRules, GlobsMatchAsAShellsDo) {
  EXPECT_TRUE(glob_matches("public.*", "public.orders"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("*.orders_20??", "shop.orders_2026"));
  EXPECT_TRUE(glob_matches("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(glob_matches("a*b*c", "a-b-b-"));
  EXPECT_FALSE(glob_matches("public.orders", "public.orders_old"));
  EXPECT_FALSE(glob_matches("", "x"));
}

TEST(TableRules, TheFirstMatchDecidesAndNoMatchMeansOut) {
  const std::vector<TableRule> rules = {{.match = "public.tmp*", .exclude = true},
                                        {.match = "public.*"}};
  EXPECT_EQ(rule_of(rules, named("tmp_1")), nullptr);
  EXPECT_EQ(rule_of(rules, {"other", "t"}), nullptr);
  EXPECT_EQ(rule_of(rules, named("orders")), &rules[1]);
}

TEST(TableRules, KeylessTablesStayOutUnlessTheirRuleTakesThemWhole) {
  const std::vector<TableRule> rules = {{.match = "public.log*", .identity_full = true},
                                        {.match = "public.*"}};
  std::vector<CatalogTable> tables = {table("keyed"), table("keyless", false), table("log", false),
                                      table("log_keyed")};
  tables.push_back({.name = named("unlogged"), .unlogged = true, .identity = key()});
  const TableChoice choice = choose_tables(rules, tables);
  EXPECT_THAT(choice.publish, ElementsAre(named("keyed"), named("log_keyed")));
  EXPECT_THAT(choice.keyless, ElementsAre(Key(named("keyless"))));
  EXPECT_THAT(choice.needs_full, ElementsAre(named("log")));
  EXPECT_THAT(choice.unlogged, ElementsAre(named("unlogged")));
}

// From 18 on a server refuses UPDATE of what is published with it.
TEST(TableRules, FullIsNotGivenToATableWithColumnsThatAreLeftOut) {
  CatalogTable generated = table("generated", false);
  generated.identity.full_works = false;
  const TableChoice choice = choose_tables(
      std::vector<TableRule>{{.match = "*", .identity_full = true}}, std::vector{generated});
  EXPECT_THAT(choice.needs_full, IsEmpty());
  EXPECT_THAT(choice.keyless, ElementsAre(Key(named("generated"))));
}

TEST(ReplicaIdentity, EachOneThatIsNotUsableHasItsReasonAndARemedy) {
  struct Case {
    ReplicaIdentity identity;
    std::string why, remedy;
  };
  const Case cases[] = {
      {{}, "it has no primary key", "ALTER TABLE s.t REPLICA IDENTITY FULL;  -- or a primary key"},
      {{.other = "USING INDEX t_n"},
       "it has no primary key",
       "ALTER TABLE s.t REPLICA IDENTITY USING INDEX t_n;"},
      {{.full_works = false},
       "it has no primary key",
       "CREATE UNIQUE INDEX t_identity ON s.t (...); ALTER TABLE s.t REPLICA IDENTITY USING INDEX "
       "t_identity;"},
      {{.setting = 'n', .other = "DEFAULT"},
       "its REPLICA IDENTITY is NOTHING",
       "ALTER TABLE s.t REPLICA IDENTITY DEFAULT;"},
      {{.setting = 'i'},
       "the index of its REPLICA IDENTITY was dropped",
       "ALTER TABLE s.t REPLICA IDENTITY FULL;"},
      {{.index = "t_pkey", .immediate = false},
       "its primary key t_pkey is DEFERRABLE",
       "ALTER TABLE s.t REPLICA IDENTITY FULL;"},
      {{.index = "t_pkey", .valid = false},
       "its primary key t_pkey is not valid",
       "REINDEX INDEX s.t_pkey;"},
      {{.setting = 'i', .index = "t_g", .unpublished = "g", .full_works = false},
       "its identity index t_g holds the generated column g",
       "CREATE UNIQUE INDEX t_identity"},
      {{.setting = 'f', .unpublished = "g", .full_works = false, .other = "DEFAULT"},
       "its REPLICA IDENTITY FULL holds the generated column g",
       "ALTER TABLE s.t REPLICA IDENTITY DEFAULT;"}};
  for (const Case& c : cases) {
    EXPECT_FALSE(c.identity.usable()) << c.why;
    EXPECT_EQ(why_unusable(c.identity), c.why);
    EXPECT_THAT(remedy_of({"s", "t"}, c.identity), testing::StartsWith(c.remedy));
  }
  EXPECT_TRUE(ReplicaIdentity{.setting = 'f'}.usable());
  EXPECT_FALSE(ReplicaIdentity{.setting = 'f'}.inherited());
}

TEST(TableRules, APartitionedTableIsPublishedWholeOnlyWhenAllOfItHasAKey) {
  const std::vector<TableRule> rules = {{.match = "*"}};
  const CatalogTable root{.name = named("root"), .kind = 'p', .identity = key()};
  CatalogTable keyless_root = root;
  keyless_root.identity = key(false);
  const CatalogTable between{.name = named("between"), .kind = 'p', .root = named("root")};
  const auto whole =
      choose_tables(rules, std::vector{root, between, part("a", "root"), part("b", "root")});
  EXPECT_THAT(whole.publish, ElementsAre(named("a"), named("b"), named("root")));
  EXPECT_THAT(whole.whole, ElementsAre(Pair(named("root"), ElementsAre(named("a"), named("b")))));
  const auto some =
      choose_tables(rules, std::vector{root, part("a", "root"), part("b", "root", false)});
  EXPECT_THAT(some.publish, ElementsAre(named("a")));
  EXPECT_THAT(some.whole, IsEmpty());
  EXPECT_THAT(some.keyless, ElementsAre(Key(named("b"))));
  // Partitions made later would have no key.
  EXPECT_THAT(choose_tables(rules, std::vector{keyless_root, part("a", "root")}).publish,
              ElementsAre(named("a")));
}

TEST(TableRules, PartitionsFollowTheirRootsRuleUnlessNoneTakesIt) {
  const CatalogTable root{.name = named("root"), .kind = 'p', .identity = key()};
  const std::vector<CatalogTable> tables = {root, part("old", "root"), part("new", "root")};
  EXPECT_THAT(choose_tables(std::vector<TableRule>{{.match = "public.new"}}, tables).publish,
              ElementsAre(named("new")));
  EXPECT_THAT(choose_tables(std::vector<TableRule>{{.match = "public.root"}}, tables).publish,
              ElementsAre(named("new"), named("old"), named("root")));
  EXPECT_THAT(choose_tables({}, tables).publish, IsEmpty());
}

TEST(Quoting, NamesAreQuotedWhenTheyMustBe) {
  EXPECT_EQ(quote_identifier("orders_2"), "orders_2");
  EXPECT_EQ(quote_identifier("Orders"), "\"Orders\"");
  EXPECT_EQ(quote_identifier("a\"b"), "\"a\"\"b\"");
  EXPECT_EQ(quote_identifier("user"), "\"user\"");
  EXPECT_EQ(quote_identifier("2nd"), "\"2nd\"");
  EXPECT_EQ(quote_identifier("größe"), "\"größe\"");
  EXPECT_EQ(quote_qualified("My Schema", "t"), "\"My Schema\".t");
  EXPECT_EQ(quote_identifiers({"a", "B"}), "a, \"B\"");
  EXPECT_EQ(quote_literal("it's"), "'it''s'");
  EXPECT_EQ(quote_literal("a\\'b"), "E'a\\\\''b'");
}

TEST(Lsn, TextAndPositionsGoBothWays) {
  EXPECT_EQ(Lsn::parse("16/B374D848")->value(), 0x16B374D848u);
  EXPECT_EQ(Lsn(0x16B374D848).text(), "16/B374D848");
  EXPECT_EQ(*Lsn::from(Lsn(4711).position()), Lsn(4711));
  EXPECT_EQ(*Lsn::from({}), Lsn(0));
  EXPECT_EQ(Lsn(1).position().bytes, Bytes("\1\0\0\0\0\0\0\0", 8));
  for (const char* text : {"", "/", "1", "1/", "/1", "x/1", "1/x", "1/100000000", "-1/0"})
    EXPECT_FALSE(Lsn::parse(text).ok()) << text;
  EXPECT_FALSE(Lsn::from({"1234567"}).ok());
  EXPECT_FALSE(Lsn::from({"123456789012"}).ok());
  EXPECT_EQ(format_time(from_server_time(0)), "2000-01-01T00:00:00.000Z");
  EXPECT_EQ(to_server_time(from_server_time(-123456)), -123456);
}

TEST(Catalog, DefinitionsThatAreNoneAreRefused) {
  for (const char* text : {"", "[]", "{", "{}", R"({"version": 2})",
                           R"({"version": 1, "columns": 3})", R"({"version": 1, "name": []})"})
    EXPECT_FALSE(table_from_json(text).ok()) << text;
  EXPECT_TRUE(table_from_json(R"({"version": 1, "name": "t", "added_later": 1})").ok());
  EXPECT_FALSE(shared_from_json("{}").ok());
}

TEST(Connection, ErrorsAreClassedByWhatACallerCanDo) {
  EXPECT_EQ(classify("57P01").kind, ErrorKind::unavailable);
  EXPECT_EQ(classify("08006").retry, Retry::yes);
  EXPECT_EQ(classify("53300").retry, Retry::yes);
  EXPECT_EQ(classify("28P01").kind, ErrorKind::denied);
  EXPECT_EQ(classify("42501").retry, Retry::no);
  EXPECT_EQ(classify("23505").kind, ErrorKind::rejected);
  EXPECT_EQ(classify("40P01").kind, ErrorKind::conflict);
  EXPECT_EQ(classify("40P01").retry, Retry::yes);
  EXPECT_EQ(classify("55006").kind, ErrorKind::conflict);
  EXPECT_EQ(classify("42P01").kind, ErrorKind::not_found);
  EXPECT_EQ(classify("").kind, ErrorKind::invalid);
}

}  // namespace
}  // namespace farshore::postgres
