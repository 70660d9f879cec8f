#!/usr/bin/python3
"""Tables that are added, or copied again, while the others of the stream go on."""

import threading

import preamble
from lab import workload
from lab.case import LabTest

ROWS = 100_000  # where the copy is to take a while
FEW = 20_000


class AsideTest(LabTest):
    expected_in_log = (r" link\.", r" stream\.retry ", r" journal\.tail_cut ")

    def start(self, rows=FEW, tables=()):
        """With `tables` more, of a hundred rows that name the table."""
        source, target = self.postgres("source"), self.postgres("target")
        source.sql("CREATE TABLE public.big (id bigint PRIMARY KEY, n bigint, body text)")
        source.sql(
            "INSERT INTO public.big SELECT i, 0, md5(i::text) || md5((-i)::text)"
            " FROM generate_series(1, %s) i",
            (rows,),
        )
        for name in tables:
            source.sql(f"CREATE TABLE public.{name} (id integer PRIMARY KEY, body text)")
            source.sql(
                f"INSERT INTO public.{name} SELECT i, '{name}' FROM generate_series(1, 100) i"
            )
        workload.make_tables(source)
        self.make_marks(source)
        return self.deploy(source, target)

    def change_big(self, source, stopping):
        def run():
            with source.connect().cursor() as cursor:
                number = 0
                while not stopping.is_set():
                    number += 1
                    cursor.execute(
                        "UPDATE public.big SET n = n + 1 WHERE id = %s",
                        (number * 7919 % ROWS + 1,),
                    )
                    cursor.execute("INSERT INTO public.big VALUES (%s, 1, 'new')", (ROWS + number,))

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def state_of_big(self, target):
        return target.sql(
            "SELECT state, aside_from IS NOT NULL FROM farshore.table_state"
            " WHERE table_name = 'public.big'"
        )[0]

    def wait_joined(self, target, seconds=60):
        self.wait(
            lambda: self.state_of_big(target) in [("copied", False), ("streaming", False)],
            seconds,
            "the table does not join the others",
        )

    def test_a_table_is_copied_again_while_the_others_go_on(self):
        deployment = self.start(ROWS)
        source, target = deployment.source, deployment.target
        target.sql("UPDATE public.big SET body = 'drifted' WHERE id % 3 = 0")
        stopping = threading.Event()
        thread = self.change_big(source, stopping)
        writer = workload.MixedWriter(source).start()
        deployment.wan.tell("rate 4Mbit")
        words = ("stream", "resnapshot", "app", "--table", "public.big", "--yes")
        deployment.farshore(*words, region=deployment.regions[1])
        self.wait(
            lambda: self.state_of_big(target) == ("copying", True), 20, "the copy does not begin"
        )
        before = target.value("SELECT max(sequence) FROM farshore.progress")
        self.wait(
            lambda: target.value("SELECT max(sequence) FROM farshore.progress") > before,
            10,
            "the other tables do not go on",
        )
        self.assertEqual(self.state_of_big(target), ("copying", True))
        self.assertEqual(deployment.leg()["state"], "streaming")
        deployment.far.restart_after_kill()
        deployment.wan.tell("rate off")
        self.wait_joined(target)
        stopping.set()
        thread.join()
        self.assertGreater(writer.stop(), 10)
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(source, target), ROWS)

    def test_all_tables_are_copied_again(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        target.sql("DELETE FROM public.big WHERE id % 2 = 0")
        writer = workload.MixedWriter(source).start()
        deployment.farshore("stream", "resnapshot", "app", "--yes", region=deployment.regions[0])
        self.wait_joined(target)
        self.assertGreater(writer.stop(), 10)
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(source, target), FEW)

    def test_a_table_made_later_arrives_whole(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        writer = workload.MixedWriter(source).start()
        source.sql("CREATE TABLE public.later (id integer PRIMARY KEY, body text)")
        source.sql("INSERT INTO public.later SELECT i, 'early' FROM generate_series(1, 1000) i")
        self.wait(
            lambda: target.value("SELECT to_regclass('public.later') IS NOT NULL")
            and target.value("SELECT count(*) FROM public.later") == 1000,
            30,
            "the rows that were there before the table was published do not arrive",
        )
        source.sql("UPDATE public.later SET body = 'late' WHERE id % 2 = 0")
        self.assertGreater(writer.stop(), 10)
        self.wait_applied(deployment)
        self.wait(lambda: self.all_joined(target), 30, "the table does not join the others")
        self.assertGreater(self.expect_equal(source, target), 1000)

    def test_a_table_that_was_out_of_the_stream_is_copied_again(self):
        deployment = self.start(tables=["made_anew"])
        source, target = deployment.source, deployment.target
        source.sql("ALTER TABLE public.big DROP CONSTRAINT big_pkey")
        self.wait(
            lambda: self.published(deployment, "source.table_unpublished") > 0,
            30,
            "the table without a key stays published",
        )
        source.sql("INSERT INTO public.big VALUES (-1, 0, 'nobody saw it')")
        source.sql("DELETE FROM public.big WHERE id = 7")
        source.sql("ALTER TABLE public.big ADD PRIMARY KEY (id)")
        source.sql(
            "BEGIN; DROP TABLE public.made_anew;"
            "CREATE TABLE public.made_anew (id integer PRIMARY KEY, body text);"
            "INSERT INTO public.made_anew VALUES (2, 'new'), (3, 'new'); COMMIT"
        )
        self.wait(
            lambda: self.published(deployment, "copy.table_rejoined", 1) >= 2,
            60,
            "the tables are not copied again",
        )
        source.sql("UPDATE public.big SET n = n + 1 WHERE id = -1")
        self.wait_joined(target)
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(source, target), FEW)
        self.expected_in_log += (r" source\.table_", r" copy\.table_rejoined ")

    def test_another_table_under_a_known_name_is_copied_and_nothing_fails_meanwhile(self):
        deployment = self.start(tables=["a", "a_new", "p", "q", "named"])
        source, target = deployment.source, deployment.target
        source.sql("DELETE FROM public.a_new WHERE id > 50")
        source.sql("INSERT INTO public.p VALUES (101, 'only in the first p')")
        self.wait_applied(deployment)
        copied = self.copies(deployment)
        # Its rows are looked up at once, long before the source looks for new tables.
        source.sql(
            "BEGIN; DROP TABLE public.a; ALTER TABLE public.a_new RENAME TO a;"
            "ALTER TABLE public.p RENAME TO x; ALTER TABLE public.q RENAME TO p;"
            "ALTER TABLE public.x RENAME TO q; ALTER TABLE public.named RENAME TO renamed; COMMIT"
        )
        source.sql("INSERT INTO public.a VALUES (60, 'after')")
        source.sql("UPDATE public.q SET body = 'after' WHERE id = 101")
        source.sql("UPDATE public.p SET body = 'after' WHERE id = 1")
        source.sql("UPDATE public.renamed SET body = 'after' WHERE id = 1")
        self.wait(lambda: self.copies(deployment) >= copied + 4, 60, "they are not copied again")
        self.wait(lambda: self.all_joined(target), 60, "the tables do not join the others")
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(source, target), FEW)
        self.assertEqual(target.value("SELECT count(*) FROM public.named"), 100)
        self.assertEqual(self.published(deployment, "copy.name_taken", 1), 1)
        self.expected_in_log += (
            r" source\.table_",
            r" copy\.(table_rejoined|table_renamed|name_taken) ",
        )

    def copies(self, deployment):
        return self.published(deployment, "copy.table", 1) - self.published(
            deployment, "copy.table_", 1
        )

    def all_joined(self, target):
        return 0 == target.value(
            "SELECT count(*) FROM farshore.table_state"
            " WHERE aside_from IS NOT NULL OR state NOT IN ('copied', 'streaming')"
        )

    def published(self, deployment, name, region=0):
        said = deployment.farshore("events", region=deployment.regions[region])
        return sum(name in line for line in said.splitlines())


if __name__ == "__main__":
    preamble.main()
