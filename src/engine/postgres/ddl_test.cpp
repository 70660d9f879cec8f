#include "engine/postgres/ddl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace farshore::postgres {
namespace {

using testing::ElementsAre;

TableDefinition orders() {
  return {.schema = "public",
          .name = "Orders",
          .columns = {{.name = "id", .type = "bigint", .not_null = true, .identity = "a"},
                      {.name = "n",
                       .type = "integer",
                       .default_expression = "nextval('public.n_seq'::regclass)"},
                      {.name = "note", .type = "text", .collation = "pg_catalog.\"C\""},
                      {.name = "twice",
                       .type = "integer",
                       .default_expression = "(n * 2)",
                       .generated = "v"}},
          .constraints = {{.name = "orders_pkey", .kind = 'p', .definition = "PRIMARY KEY (id)"},
                          {.name = "positive", .kind = 'c', .definition = "CHECK ((n > 0))"},
                          {.name = "old",
                           .kind = 'c',
                           .definition = "CHECK ((n < 9)) NOT VALID",
                           .validated = false},
                          {.name = "no_overlap",
                           .kind = 'x',
                           .definition = "EXCLUDE USING gist (r WITH &&)"}},
          .foreign_keys = {{.name = "f",
                            .kind = 'f',
                            .definition = "FOREIGN KEY (n) REFERENCES public.p(id)"}},
          .indexes = {{.name = "i",
                       .definition = "CREATE INDEX i ON public.\"Orders\" USING btree (n)"}},
          .sequences = {{.schema = "public",
                         .name = "n_seq",
                         .type = "integer",
                         .start = "1",
                         .increment = "1",
                         .minimum = "1",
                         .maximum = "99",
                         .cache = "1",
                         .cycle = true,
                         .owner_column = "n"},
                        {.schema = "public",
                         .name = "id_seq",
                         .type = "bigint",
                         .start = "5",
                         .increment = "2",
                         .minimum = "1",
                         .maximum = "9",
                         .cache = "1",
                         .owner_column = "id",
                         .identity = true}},
          .storage_parameters = "fillfactor=70",
          .replica_identity = 'f'};
}

TEST(CreateTable, MakesSequencesColumnsKeysAndValidatedChecks) {
  EXPECT_THAT(create_table(orders(), false, 180000),
              ElementsAre("CREATE SEQUENCE IF NOT EXISTS public.n_seq AS integer START WITH 1 "
                          "INCREMENT BY 1 MINVALUE 1"
                          " MAXVALUE 99 CACHE 1 CYCLE",
                          "CREATE TABLE public.\"Orders\" (id bigint GENERATED ALWAYS AS IDENTITY "
                          "(START WITH 5 INCREMENT BY 2"
                          " MINVALUE 1 MAXVALUE 9 CACHE 1) NOT NULL, n integer DEFAULT "
                          "nextval('public.n_seq'::regclass),"
                          " note text COLLATE pg_catalog.\"C\", twice integer GENERATED ALWAYS AS "
                          "((n * 2)) VIRTUAL,"
                          " CONSTRAINT orders_pkey PRIMARY KEY (id), CONSTRAINT positive CHECK ((n "
                          "> 0))) WITH (fillfactor=70)",
                          "ALTER SEQUENCE public.n_seq OWNED BY public.\"Orders\".n",
                          "ALTER TABLE public.\"Orders\" REPLICA IDENTITY FULL"));
}

TEST(CreateTable, StoresAVirtualColumnWhereTheServerKnowsNoOthers) {
  EXPECT_THAT(create_table(orders(), false, 150000)[1], testing::HasSubstr("AS ((n * 2)) STORED"));
}

TEST(CreateTable, MakesPartitionsOfAPartitionedTable) {
  TableDefinition root{.schema = "s",
                       .name = "m",
                       .kind = 'p',
                       .columns = {{.name = "at", .type = "date"}},
                       .partition_by = "RANGE (at)"};
  root.partitions.push_back(
      {.schema = "s",
       .name = "m1",
       .columns = root.columns,
       .constraints =
           {{.name = "own", .kind = 'c', .definition = "CHECK (true)"},
            {.name = "theirs", .kind = 'p', .definition = "PRIMARY KEY (at)", .inherited = true}},
       .parent_schema = "s",
       .parent_name = "m",
       .partition_bound = "FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"});
  EXPECT_THAT(
      create_table(root, false, 150000),
      ElementsAre(
          "CREATE TABLE s.m (at date) PARTITION BY RANGE (at)",
          "CREATE TABLE s.m1 PARTITION OF s.m FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
          "ALTER TABLE s.m1 ADD CONSTRAINT own CHECK (true)"));
  EXPECT_THAT(create_table(root.partitions[0], false, 150000)[0],
              "CREATE TABLE s.m1 (at date, CONSTRAINT own CHECK (true))");
}

TEST(ObjectsAfterCopy, AreIndexesUnvalidatedChecksExclusionsAndForeignKeys) {
  std::vector<std::string> sql;
  for (const LaterObject& object : objects_after_copy(orders())) sql.push_back(object.sql);
  EXPECT_THAT(
      sql,
      ElementsAre(
          "CREATE INDEX i ON public.\"Orders\" USING btree (n)",
          "ALTER TABLE public.\"Orders\" ADD CONSTRAINT old CHECK ((n < 9)) NOT VALID",
          "ALTER TABLE public.\"Orders\" ADD CONSTRAINT no_overlap EXCLUDE USING gist (r WITH &&)",
          "ALTER TABLE public.\"Orders\" ADD CONSTRAINT f FOREIGN KEY (n) REFERENCES public.p(id) "
          "NOT VALID"));
  EXPECT_EQ(objects_after_copy(orders()).back().validate,
            "ALTER TABLE public.\"Orders\" VALIDATE CONSTRAINT f");
}

TEST(UseFreeNames, WhatAnotherTableHasIsNumberedAndTheRestKept) {
  TableDefinition table = orders();
  table.indexes.push_back({.name = "a \" ON b",
                           .definition = "CREATE UNIQUE INDEX \"a \"\" ON b\" ON public.\"Orders\" "
                                         "USING btree (id)"});
  table.replica_identity_index = "i";
  const TableName other{"public", "other"}, self{"public", "Orders"};
  TakenNames taken = {{{"public", "i"}, other},
                      {{"public", "i1"}, {"public", ""}},
                      {{"public", "a \" ON b"}, other},
                      {{"public", "orders_pkey"}, self},
                      {{"other", "no_overlap"}, other}};
  std::vector<std::string> given;
  for (const NewName& name : use_free_names(table, taken)) given.push_back(name.given);
  EXPECT_THAT(given, ElementsAre("i2", "a \" ON b1"));
  EXPECT_EQ(table.constraints[0].name, "orders_pkey");
  EXPECT_EQ(table.indexes[0].definition, "CREATE INDEX i2 ON public.\"Orders\" USING btree (n)");
  EXPECT_EQ(table.indexes[1].definition,
            "CREATE UNIQUE INDEX \"a \"\" ON b1\" ON public.\"Orders\" USING btree (id)");
  EXPECT_EQ(table.replica_identity_index, "i2");
}

TEST(CreateType, EnumsCompositesRangesAndDomains) {
  EXPECT_EQ(
      create_type(
          {.schema = "public", .name = "mood", .kind = 'e', .labels = {"sad", "it's", "a\\b"}}),
      "CREATE TYPE public.mood AS ENUM ('sad', 'it''s', E'a\\\\b')");
  EXPECT_EQ(
      create_type({.schema = "public",
                   .name = "P",
                   .kind = 'c',
                   .attributes = {{"x", "integer", ""}, {"y z", "text", "pg_catalog.\"C\""}}}),
      "CREATE TYPE public.\"P\" AS (x integer, \"y z\" text COLLATE pg_catalog.\"C\")");
  EXPECT_EQ(create_type({.schema = "s",
                         .name = "r",
                         .kind = 'r',
                         .base_type = "double precision",
                         .subtype_diff = "float8mi",
                         .multirange_name = "rs"}),
            "CREATE TYPE s.r AS RANGE (subtype = double precision, subtype_diff = float8mi, "
            "multirange_type_name = s.rs)");
  EXPECT_EQ(create_type({.schema = "s",
                         .name = "d",
                         .kind = 'd',
                         .base_type = "character varying(5)",
                         .default_expression = "'x'::character varying",
                         .not_null = true,
                         .checks = {{.name = "c", .definition = "CHECK ((VALUE <> ''))"}}}),
            "CREATE DOMAIN s.d AS character varying(5) DEFAULT 'x'::character varying NOT NULL "
            "CONSTRAINT c CHECK ((VALUE <> ''))");
}

TEST(AddColumn, LeavesNotNullOutWhereExistingRowsWouldRefuseIt) {
  EXPECT_EQ(add_column("public.t", {.name = "a", .type = "integer", .not_null = true}, 150000),
            "ALTER TABLE public.t ADD COLUMN a integer");
  EXPECT_EQ(
      add_column("public.t",
                 {.name = "a", .type = "integer", .not_null = true, .default_expression = "0"},
                 150000),
      "ALTER TABLE public.t ADD COLUMN a integer DEFAULT 0 NOT NULL");
}

}  // namespace
}  // namespace farshore::postgres
