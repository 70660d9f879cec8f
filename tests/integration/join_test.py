#!/usr/bin/python3
"""Tables that join a running stream: made later, given a key later, a partition made later. Their
rows are copied, changes beside the copy are neither lost nor doubled."""

import preamble
from lab.case import LabTest

LATER = (
    "CREATE TABLE public.later (id integer PRIMARY KEY, note text);"
    "INSERT INTO public.later SELECT i, 'old' FROM generate_series(1, 1000) i;"
    "ALTER TABLE public.keyless ADD PRIMARY KEY (id);"
    "CREATE TABLE public.parts_2 PARTITION OF public.parts FOR VALUES FROM (100) TO (200);"
    "INSERT INTO public.parts SELECT i FROM generate_series(100, 150) i;"
)


class JoinTest(LabTest):
    expected_in_log = (
        r" source\.table_keyless ",
        r" stream\.retry .* is not copied yet",
        r" link\.",
    )

    def start(self):
        source, target = self.postgres("source"), self.postgres("target")
        source.sql(
            "CREATE TABLE public.t (id integer PRIMARY KEY);"
            "CREATE TABLE public.keyless (id integer NOT NULL);"
            "INSERT INTO public.keyless SELECT generate_series(1, 100);"
            "CREATE TABLE public.parts (id integer PRIMARY KEY) PARTITION BY RANGE (id);"
            "CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (100)"
        )
        self.make_marks(source)
        return self.deploy(source, target)

    def wait_joined(self, target, *tables):
        def there():
            states = dict(
                target.sql(
                    "SELECT table_name, state FROM farshore.table_state"
                    " WHERE rows > 0 AND aside_from IS NULL"
                )
            )
            return all(states.get(table) in ("copied", "streaming") for table in tables)

        self.wait(there, 40, lambda: f"not joined: {target.sql('TABLE farshore.table_state')}")

    def test_tables_that_come_later_are_copied_and_join(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        source.sql(LATER)
        for i in range(2000, 2100):  # beside the copy, whenever that is
            source.sql("INSERT INTO public.later VALUES (%s, 'new')", (i,))
            source.sql("UPDATE public.later SET note = 'changed' WHERE id = %s", (i - 1999,))
        self.wait_joined(target, "public.later", "public.keyless", "public.parts_2")
        source.sql("DELETE FROM public.later WHERE id < 50")
        source.sql("UPDATE public.keyless SET id = id + 500")
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(source, target), 1000)

    def test_tables_that_are_gone_before_they_were_copied_stop_nothing(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        source.sql("DROP TABLE public.keyless")  # not in the stream
        names = [f"public.stage_{i}" for i in range(3)]
        for name in names:
            source.sql(f"CREATE TABLE {name} (id integer PRIMARY KEY)")
        self.wait(
            lambda: f"table {names[-1]} is now published" in deployment.near.process.output(),
            15,
            "it is not published",
        )
        for name in names:
            source.sql(f"INSERT INTO {name} SELECT generate_series(1, 10)")
            source.sql(f"DROP TABLE {name}")
            source.sql("INSERT INTO public.t SELECT count(*) FROM public.t")
        self.wait_applied(deployment)
        for name in names:
            target.sql(f"DROP TABLE IF EXISTS {name}")  # it may have come
        self.expect_equal(source, target)
        self.expected_in_log += (r" stream\.retry ", r" source\.table_unpublished ")

    def test_a_table_that_came_while_the_agent_was_away_joins_at_its_start(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        deployment.near.stop()
        source.sql(LATER)
        deployment.near.start()
        self.wait_joined(target, "public.later", "public.keyless", "public.parts_2")
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        deployment.far.restart_after_kill()  # what has joined is not copied again
        source.sql("DELETE FROM public.later WHERE id = 7")
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        self.expected_in_log += (r" stream\.retry ", r" journal\.tail_cut ")


if __name__ == "__main__":
    preamble.main()
