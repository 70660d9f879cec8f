#!/usr/bin/python3
"""The initial copy: under load, killed in the middle, into tables that hold rows, by a region that
joins late, and while a commit hangs in a synchronous wait."""

import json
import threading
import time

import preamble
from lab import workload
from lab.case import LabTest

ROWS = 400_000
MADE_AFTERWARDS = (
    "SELECT indexname FROM pg_indexes WHERE schemaname = 'public' UNION ALL "
    "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace "
    "AND contype IN ('u', 'f') ORDER BY 1"
)


class CopyTest(LabTest):
    expected_in_log = (r" link\.", r" stream\.retry ", r" journal\.tail_cut ")

    def source_with_rows(self, rows=ROWS):
        source = self.postgres("source")
        source.sql(
            "CREATE TABLE public.big (id bigint PRIMARY KEY, n bigint, body text);"
            "CREATE TABLE public.other (id bigint PRIMARY KEY, body text);"
            "CREATE INDEX big_n ON public.big (n)"
        )
        source.sql(
            "INSERT INTO public.big SELECT i, i %% 1000, repeat('x', 100) "
            "FROM generate_series(1, %s) i",
            (rows,),
        )
        source.sql(
            "INSERT INTO public.other SELECT i, repeat('y', 50) " "FROM generate_series(1, %s) i",
            (rows // 2,),
        )
        source.sql("CREATE TABLE public.few AS SELECT i AS id FROM generate_series(1, 10) i")
        source.sql("ALTER TABLE public.few ADD PRIMARY KEY (id)")
        source.sql("CREATE INDEX few_id ON public.few (id)")
        workload.make_tables(source)
        self.make_marks(source)
        return source

    def times_copied(self, deployment, table):
        events = deployment.farshore("events", "--json", region=deployment.regions[1])
        named = [json.loads(line) for line in events.splitlines()]
        return sum(
            event["name"] == "copy.table" and event["message"].startswith(f"{table}:")
            for event in named
        )

    def churn(self, source, stopping):
        """Changes rows of the tables that are being copied."""

        def run():
            connection = source.connect()
            with connection.cursor() as cursor:
                number = ROWS
                while not stopping.is_set():
                    number += 1
                    cursor.execute("INSERT INTO public.big VALUES (%s, 1, 'new')", (number,))
                    cursor.execute(
                        "UPDATE public.big SET n = n + 1 WHERE id = %s", (number * 7919 % ROWS + 1,)
                    )
                    cursor.execute("DELETE FROM public.other WHERE id = %s", (number - ROWS,))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def test_both_agents_are_killed_during_the_copy_under_load(self):
        source, target = self.source_with_rows(), self.postgres("target")
        stopping = threading.Event()
        thread = self.churn(source, stopping)
        writer = workload.MixedWriter(source).start()
        deployment = self.deploy(source, target, rate="20Mbit", wait=False)
        deployment.wait_for_state("copying", 30)
        self.wait(
            lambda: self.times_copied(deployment, "public.few"), 30, "a small table is not copied"
        )
        deployment.far.restart_after_kill()
        deployment.wait_for_state("copying", 30)
        time.sleep(1)
        deployment.near.restart_after_kill()
        deployment.wan.tell("rate off")
        deployment.wait_for_state("streaming", 90)
        stopping.set()
        thread.join()
        writer.stop()
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(source, target), ROWS)
        # Also of the table that was complete when they were killed.
        self.assertEqual(target.sql(MADE_AFTERWARDS), source.sql(MADE_AFTERWARDS))
        # It went on with the tables that were not finished.
        self.assertEqual(self.times_copied(deployment, "public.few"), 1)
        self.assertEqual(self.times_copied(deployment, "public.big"), 1)

    def test_the_copy_shows_its_progress(self):
        source, target = self.source_with_rows(100_000), self.postgres("target")
        deployment = self.deploy(source, target, rate="4Mbit", wait=False)

        def progress():
            deployment.expect_agents_running()
            try:
                leg = deployment.leg(region=deployment.regions[0])
            except Exception:
                return None
            copy = leg and leg["copy"]
            # An estimate tells something once a part is copied.
            begun = copy and [table for table in copy["tables"] if table["bytes"] > 500_000]
            return begun and (copy, begun[0])

        copy, table = self.wait(progress, 30, "no progress is shown")
        self.assertGreater(table["rows"], 0)
        self.assertGreaterEqual(table["bytes_total"], table["bytes"] // 2)
        self.assertGreaterEqual(table["rows_total"], table["rows"] // 2)
        for estimate in table["eta_seconds"], copy["eta_seconds"]:
            self.assertGreater(estimate, 0)
            self.assertLess(estimate, 600)
        self.assertGreater(copy["tables_total"], copy["tables_done"])
        deployment.wan.tell("rate off")
        deployment.wait_for_state("streaming", 60)

    def test_a_target_table_that_holds_rows_is_untouched(self):
        self.expected_in_log += (r" stream\.state ",)
        source, target = self.source_with_rows(1000), self.postgres("target")
        target.sql(
            "CREATE TABLE public.big (id bigint PRIMARY KEY, n bigint, body text);"
            "INSERT INTO public.big VALUES (5, 5, 'ours')"
        )
        deployment = self.deploy(source, target, wait=False)
        leg = deployment.wait_for_state("failed", 30)
        self.assertIn("big", leg["reason"])
        self.assertTrue(leg["remedy"])
        far = deployment.wait_for_state("failed", 30, target_index=1)  # as the target's region says
        self.assertIn("big", far["reason"])
        self.assertEqual(target.sql("SELECT * FROM public.big"), [(5, 5, "ours")])
        target.sql("DELETE FROM public.big")
        deployment.farshore("stream", "resume", "app", region=deployment.regions[1])
        deployment.wait_for_state("streaming", 60)
        self.wait_applied(deployment)
        self.expect_equal(source, target)

    def test_existing_rows_are_replaced_when_asked_for(self):
        source, target = self.source_with_rows(1000), self.postgres("target")
        target.sql(
            "CREATE TABLE public.big (id bigint PRIMARY KEY, n bigint, body text);"
            "INSERT INTO public.big VALUES (5, 5, 'old'), (99999, 1, 'old')"
        )
        deployment = self.deploy(source, target, stream={"existing": "replace"})
        self.wait_applied(deployment)
        self.expect_equal(source, target)

    def test_a_third_region_joins_a_stream_whose_journal_was_trimmed(self):
        source, target = self.source_with_rows(2000), self.postgres("target")
        third = self.postgres("third", 18)
        stream = {"to": ["app-r2"], "journal": {"keep": "0s", "segment": "1MiB", "max": "64MiB"}}
        deployment = self.deploy(source, target, third, start=False, stream=stream)
        deployment.start(wait=False)
        deployment.wait_for_state("streaming", 60, target_index=1)
        writer = workload.MixedWriter(source).start()
        source.sql(
            "INSERT INTO public.big SELECT i, 1, md5(i::text) || repeat('z', 200) "
            "FROM generate_series(10000, 30000) i"
        )
        self.wait_applied(deployment)
        self.wait(lambda: self.trimmed(deployment), 30, "the journal is not trimmed")
        deployment.streams["app"]["to"] = ["app-r2", "app-r3"]
        deployment.write_config()
        for agent in deployment.agents.values():
            agent.process.send(1)  # SIGHUP
        deployment.wait_for_state("streaming", 60, target_index=2)
        self.assertGreater(writer.stop(), 10)
        self.wait_applied(deployment, target=third)
        self.wait_applied(deployment)
        self.expect_equal(source, third)
        self.expect_equal(source, target)
        self.expected_in_log += (r" config\.warning .* no stream uses it",)

    def trimmed(self, deployment):
        journal = deployment.status()["streams"][0]["journal"]
        return journal["first_place"] and int(journal["first_place"].split(":")[1]) > 1

    def hang_a_commit(self, source):
        """A row committed, decoded and not visible, until the standby's name is taken back."""
        source.sql("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        source.sql("SELECT pg_reload_conf()")

        self.wait(
            lambda: source.value("SHOW synchronous_standby_names") == "nobody", 20, "not reloaded"
        )
        time.sleep(0.5)  # who commits is told by the checkpointer, which reloads by itself

        def hang():
            connection = source.connect()
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit = on")
                cursor.execute("INSERT INTO public.big VALUES (777777, 7, 'hangs')")

        hanging = threading.Thread(target=hang, daemon=True)
        hanging.start()
        self.wait(
            lambda: source.value("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'"),
            20,
            "no commit waits",
        )
        self.assertIsNone(source.value("SELECT 1 FROM public.big WHERE id = 777777"))
        return hanging

    def let_it_go(self, source, hanging):
        source.sql("ALTER SYSTEM RESET synchronous_standby_names")
        source.sql("SELECT pg_reload_conf()")
        hanging.join(20)
        self.assertFalse(hanging.is_alive())

    def test_a_commit_that_hangs_in_a_synchronous_wait_while_the_first_copy_is_taken(self):
        source, target = self.source_with_rows(1000), self.postgres("target")
        hanging = self.hang_a_commit(source)
        deployment = self.deploy(source, target, wait=False)
        self.wait(
            lambda: source.value(
                "SELECT 1 FROM pg_stat_activity WHERE state = 'active' "
                "AND query LIKE 'SELECT pg_create_logical_replication_slot%%'"
            ),
            20,
            "no slot is being made",
        )
        self.let_it_go(source, hanging)
        deployment.wait_for_state("streaming", 60)
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        self.assertEqual(target.value("SELECT body FROM public.big WHERE id = 777777"), "hangs")

    def test_a_commit_that_hangs_while_a_table_is_copied_again_beside_the_slot(self):
        source, target = self.source_with_rows(1000), self.postgres("target")
        deployment = self.deploy(source, target)
        hanging = self.hang_a_commit(source)
        self.wait(
            lambda: target.value("SELECT 1 FROM public.big WHERE id = 777777"),
            20,
            "the commit was not decoded while it hangs",
        )
        words = ("stream", "resnapshot", "app", "--table", "public.big", "--yes")
        deployment.farshore(*words)
        self.wait(
            lambda: "copy.waits" in deployment.near.process.output(),
            30,
            "the copy does not wait for the transaction that hangs",
        )
        self.let_it_go(source, hanging)
        self.wait(
            lambda: target.value(
                "SELECT 1 FROM farshore.table_state WHERE table_name = 'public.big'"
                " AND state IN ('copied', 'streaming') AND aside_from IS NULL"
            ),
            30,
            "the table does not join the others",
        )
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        self.assertEqual(target.value("SELECT body FROM public.big WHERE id = 777777"), "hangs")


if __name__ == "__main__":
    preamble.main()
