#!/usr/bin/python3
"""Tables that are not simple: without a key, made later, changed at the source, fed by others."""

import json
import pathlib
import re

import preamble
from lab import workload
from lab.case import LabTest


class TablesTest(LabTest):
    def start(self, source_sql="", target_sql="", **options):
        source, target = self.postgres("source"), self.postgres("target")
        self.make_marks(source)
        if source_sql:
            source.sql(source_sql)
        if target_sql:
            target.sql(target_sql)
        return self.deploy(source, target, **options)

    def test_a_table_without_a_key_stays_out_and_the_application_goes_on(self):
        deployment = self.start(
            "CREATE TABLE public.keyed (id integer PRIMARY KEY);"
            "CREATE TABLE public.keyless (a integer, b text);"
            "INSERT INTO public.keyless VALUES (1, 'one'), (1, 'one'), (2, 'two')"
        )
        source = deployment.source
        source.sql("UPDATE public.keyless SET b = 'eins' WHERE a = 1")
        source.sql("DELETE FROM public.keyless WHERE a = 2")
        source.sql("INSERT INTO public.keyed VALUES (1)")
        self.wait_applied(deployment)
        self.expect_equal(source, deployment.target, only=["public.keyed"])
        done = deployment.run_farshore("check", "--json")
        self.assertEqual(done.returncode, 1, done.stderr)
        findings = [f for f in json.loads(done.stdout)["findings"] if "keyless" in f["object"]]
        self.assertTrue(findings, done.stdout)
        self.assertIn("keyless", findings[0]["remedy"])
        self.expected_in_log += (r"keyless",)

    def test_a_table_without_a_key_is_replicated_by_its_whole_rows(self):
        tables = [{"match": "public.keyless", "identity": "full"}, {"match": "public.*"}]
        deployment = self.start(
            "CREATE TABLE public.keyless (a integer, b text);"
            "ALTER TABLE public.keyless REPLICA IDENTITY FULL;"
            "INSERT INTO public.keyless VALUES (1, 'x'), (1, 'x'), (1, 'x'), (2, NULL)",
            stream={"tables": tables},
        )
        source = deployment.source
        source.sql("INSERT INTO public.keyless VALUES (3, 'z'), (3, 'z')")
        source.sql(
            "UPDATE public.keyless SET b = 'y' WHERE ctid = "
            "(SELECT min(ctid) FROM public.keyless WHERE a = 1)"
        )
        source.sql(
            "DELETE FROM public.keyless WHERE ctid = "
            "(SELECT max(ctid) FROM public.keyless WHERE a = 3)"
        )
        source.sql("UPDATE public.keyless SET b = 'null no more' WHERE a = 2")
        self.wait_applied(deployment)
        self.expect_equal(source, deployment.target)
        self.expected_in_log += (r"keyless",)

    def test_a_column_that_the_target_lacks_stops_the_leg_and_nothing_is_lost(self):
        self.expected_in_log += (r" stream\.state ",)
        deployment = self.start(
            "CREATE TABLE public.t (id integer PRIMARY KEY, a text);"
            "INSERT INTO public.t VALUES (1, 'one')"
        )
        source, target = deployment.source, deployment.target
        source.sql("INSERT INTO public.t VALUES (2, 'two')")
        source.sql("ALTER TABLE public.t ADD COLUMN colour text")
        source.sql("INSERT INTO public.t VALUES (3, 'three', 'red')")
        source.sql("UPDATE public.t SET colour = 'blue' WHERE id = 1")
        leg = deployment.wait_for_state("failed", 30)
        line = re.search(r"ALTER TABLE [^\n;]*", (leg["remedy"] or "") + "\n" + leg["reason"])
        self.assertTrue(line, leg)
        self.assertIn("colour", line[0])
        self.assertEqual(target.sql("SELECT id FROM public.t ORDER BY 1"), [(1,), (2,)])
        target.sql(line[0])
        deployment.farshore("stream", "resume", "app", region=deployment.regions[1])
        deployment.wait_for_state("streaming", 30)
        self.wait_applied(deployment)
        self.expect_equal(source, target)

    def test_a_row_that_the_target_lacks_stops_the_leg_and_can_be_repaired(self):
        self.expected_in_log += (r" stream\.state ",)
        deployment = self.start(
            "CREATE TABLE public.t (id integer PRIMARY KEY, a text);"
            "INSERT INTO public.t VALUES (1, 'one'), (2, 'two')"
        )
        source, target = deployment.source, deployment.target
        target.sql("DELETE FROM public.t WHERE id = 2")
        source.sql("UPDATE public.t SET a = 'zwei' WHERE id = 2")
        source.sql("INSERT INTO public.t VALUES (3, 'three')")
        leg = deployment.wait_for_state("failed", 30)
        self.assertIn("public.t", leg["reason"].replace('"', ""))
        self.assertIsNone(target.value("SELECT 1 FROM public.t WHERE id = 3"))
        target.sql("INSERT INTO public.t VALUES (2, 'two')")
        deployment.farshore("stream", "resume", "app", region=deployment.regions[1])
        deployment.wait_for_state("streaming", 30)
        self.wait_applied(deployment)
        self.expect_equal(source, target)

    def test_a_skipped_transaction_is_saved_and_the_rest_arrives(self):
        self.expected_in_log += (r" stream\.state ", r" stream\.skipped ")
        deployment = self.start("CREATE TABLE public.t (id integer PRIMARY KEY, a text)")
        source, target = deployment.source, deployment.target
        target.sql("INSERT INTO public.t VALUES (1, 'ours')")
        source.sql("INSERT INTO public.t VALUES (1, 'theirs')")
        source.sql("INSERT INTO public.t VALUES (2, 'two')")
        leg = deployment.wait_for_state("failed", 30)
        place = re.search(r"\b\d+:\d+\b", leg["reason"] + " " + (leg["remedy"] or ""))
        self.assertTrue(place, leg)
        deployment.farshore(
            "stream", "skip", "app", place[0], "--yes", region=deployment.regions[1]
        )
        deployment.wait_for_state("streaming", 30)
        self.wait_applied(deployment)
        self.assertEqual(target.sql("SELECT * FROM public.t ORDER BY 1"), [(1, "ours"), (2, "two")])
        events = deployment.farshore("events", region=deployment.regions[1])
        self.expect_saved(deployment, re.search(r"it is kept in (\S+)", events))

    def expect_saved(self, deployment, named):
        """The file that the event names holds the row, for the agent's user only."""
        self.assertTrue(named, "no event says where the transaction is kept")
        path = pathlib.Path(named[1])
        self.assertIn(b"theirs", path.read_bytes())
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        shown = deployment.farshore("journal", "inspect", path, config=False)
        self.assertIn("1 record, 1 change", shown)
        self.assertIn(" 0 damaged places", shown)
        self.assertNotIn("theirs", shown)

    def test_tables_made_later_never_break_the_application(self):
        deployment = self.start("CREATE TABLE public.t (id integer PRIMARY KEY)")
        source = deployment.source
        source.sql("CREATE TABLE public.later (a integer, b text)")
        source.sql("INSERT INTO public.later VALUES (1, 'x')")
        self.wait(
            lambda: "public.later" in deployment.near.process.output(),
            20,
            "the new table is not looked at",
        )
        source.sql("UPDATE public.later SET b = 'y'")
        source.sql("DELETE FROM public.later")
        source.sql("DROP TABLE public.later")
        self.wait_applied(deployment)
        self.expected_in_log += (r"later",)

    def test_rows_that_the_source_receives_from_others_are_passed_on(self):
        origin, source, target = (self.postgres(name) for name in ("origin", "source", "target"))
        for server in (origin, source):
            server.sql("CREATE TABLE public.t (id integer PRIMARY KEY, a text)")
        self.make_marks(source)
        origin.sql("CREATE PUBLICATION p FOR TABLE public.t")
        source.sql(f"CREATE SUBSCRIPTION s CONNECTION '{origin.dsn()}' PUBLICATION p")
        deployment = self.deploy(source, target)
        origin.sql("INSERT INTO public.t SELECT i, 'from origin' FROM generate_series(1, 100) i")
        self.wait(
            lambda: target.value("SELECT count(*) FROM public.t") == 100,
            30,
            "the rows of the third party do not arrive",
        )
        self.expect_equal(source, target)

    def test_a_user_with_the_granted_privileges_is_enough(self):
        source, target = self.postgres("source"), self.postgres("target")
        workload.make_tables(source)
        self.make_marks(source)
        for server in (source, target):
            server.sql("CREATE ROLE farshore LOGIN")
        # A superuser's tables stay out: nobody is told to become its member.
        source.sql("CREATE ROLE application")
        for (table,) in source.sql(
            "SELECT oid::regclass::text FROM pg_class"
            " WHERE relnamespace IN ('public'::regnamespace, '\"Lager Nord\"'::regnamespace)"
            " AND relkind IN ('r', 'p')"
        ):
            source.sql(f"ALTER TABLE {table} OWNER TO application")
        deployment = self.deploy(source, target, start=False, user="farshore")
        deployment.prepare()
        for region in deployment.regions:
            sql = deployment.farshore("grants", region.site, region=region)
            region.postgres.sql(sql)
        deployment.start()
        writer = workload.MixedWriter(source).start()
        self.wait(lambda: writer.committed > 10, 30, "the writer does not write")
        writer.stop()
        self.wait_applied(deployment)
        self.expect_equal(source, target)


if __name__ == "__main__":
    preamble.main()
