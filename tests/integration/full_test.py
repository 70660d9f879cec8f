#!/usr/bin/python3
"""A journal is full. The near one: capture holds, the server's keepalives are answered, the
application goes on; with space again all goes on. The far one: what fills it, and what does not."""

import re
import time

import preamble
from lab import workload
from lab.full import FullTest


class HoldTest(FullTest):
    def test_capture_holds_at_journal_max_and_goes_on_when_the_wan_is_back(self):
        deployment = self.start(journal={"max": "16MiB", "segment": "1MiB", "keep": "0s"})
        writer = workload.MixedWriter(deployment.source, pause=0.01).start()
        self.wait_applied(deployment)
        deployment.wan.cut()
        self.write_bulk(deployment.source, 22)
        capture = deployment.wait_for_capture("degraded", 20, "journal.max")
        self.assertIn("'app-r2' still needs", capture["reason"])
        self.assertIn("let the consumer go on", capture["remedy"])
        self.assertEqual(
            deployment.near.ready(), (503, "not ready: stream app: capture is degraded\n")
        )
        said = " ".join(deployment.farshore("status").split())
        self.assertEqual(said.count("'app-r2' still needs"), 1, said)
        walsender = self.expect_kept_alive(deployment, writer)
        view = deployment.source_view()
        self.assertEqual(view["journal"]["health"], "full")
        self.assertLessEqual(view["journal"]["bytes"], 16 << 20)
        self.assertGreater(view["capture"]["retained_bytes"], 16 << 20)
        deployment.wan.heal()
        deployment.wait_for_capture("streaming", 30)
        self.wait(  # the far one may be full for a moment now
            lambda: deployment.near.ready() == (200, "ready\n"), 30, deployment.near.ready
        )
        self.finish(deployment, writer)
        self.assertEqual(self.walsender(deployment), walsender)
        self.assertIn("journal.full ", deployment.farshore("events"))
        self.wait(
            lambda: "journal.full_over" in deployment.farshore("events"), 15, "it is still full"
        )

    def test_a_real_disk_that_is_full_is_waited_out(self):
        deployment = self.start(
            small_disk="12m",
            journal={"max": "64MiB", "segment": "1MiB", "keep": "0s", "free_min": "0B"},
        )
        writer = workload.MixedWriter(deployment.source, pause=0.01).start()
        self.wait_applied(deployment)
        deployment.wan.cut()
        self.write_bulk(deployment.source, 15)
        deployment.wait_for_capture("degraded", 20, "file system")
        walsender = self.expect_kept_alive(deployment, writer)
        deployment.grow_disk(deployment.regions[0], "24m")
        deployment.wait_for_capture("streaming", 20)
        self.write_bulk(deployment.source, 12)
        deployment.wait_for_capture("degraded", 20, "file system")
        deployment.wan.heal()
        deployment.wait_for_capture("streaming", 30)
        self.finish(deployment, writer)
        self.assertEqual(self.walsender(deployment), walsender)

    def test_a_full_far_journal_does_not_keep_the_source_from_coming_back(self):
        deployment = self.start(
            journal={"max": "16MiB", "segment": "1MiB", "keep": "0s", "free_min": "0B"}
        )
        far = deployment.regions[1]
        self.wait_applied(deployment)
        deployment.farshore("stream", "pause", "app", region=far)
        self.write_bulk(deployment.source, 22)
        self.wait(
            lambda: "journal.full " in deployment.far.process.output(), 30, "not full"
        )
        deployment.wan.cut()
        self.wait(
            lambda: all(
                "link.disconnected" in agent.process.output()
                for agent in deployment.agents.values()
            ),
            15,
            "the cut is not noticed",
        )
        time.sleep(0.5)
        deployment.wan.heal()

        def connected_again():
            log = deployment.near.process.output()
            leg = deployment.source_view()["targets"][0]
            return log.count("link.connected") == 2 and leg["state"] == "paused" and leg

        self.wait(connected_again, 20, "the source does not come back")
        deployment.farshore("stream", "resume", "app")  # at the source's side
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)
        self.expect_one_larger_than_the_far_journal_named(deployment)

    def expect_one_larger_than_the_far_journal_named(self, deployment):
        deployment.source.sql(
            "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
            "FROM generate_series(200001, 224000) i"
        )
        for region in deployment.regions[:2]:
            self.wait(
                lambda region=region: re.search(
                    r"transaction \d+ of the source began there, \S+ of it have come, "
                    r"and its end has not do: raise streams.app.journal.max in the farshore.yaml "
                    r"of region r2,",
                    " ".join(deployment.farshore("status", region=region).split()),
                ),
                20,
                lambda region=region: deployment.farshore("status", region=region),
            )

    def test_one_transaction_larger_than_the_near_journal_passes_through(self):
        small = {"max": "16MiB", "segment": "1MiB", "keep": "0s"}
        deployment = self.start(
            settings={"logical_decoding_work_mem": "64kB"},
            stream_in={"r2": {"journal": {**small, "max": "1GiB"}}},
            journal=small,
        )
        source, target = deployment.source, deployment.target
        self.wait_applied(deployment)
        source.sql(
            "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
            "FROM generate_series(1, 24000) i"
        )
        self.wait_applied(deployment)
        self.written = 100_000
        self.write_bulk(source, 20)
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        self.assertLess(deployment.source_view()["journal"]["bytes"], 17 << 20)

    def expect_counted_since_it_joined(self, deployment):
        """The third region has neither received nor applied what was trimmed before it came."""
        totals = deployment.leg(2)["totals"]
        for counted in totals["shipped"], totals["applied"]:
            self.assertGreater(int(counted["from_place"].split(":")[1]), 100, totals)
            self.assertGreater(counted["transactions"], 0, totals)
        first = deployment.leg(1)["totals"]["shipped"]
        self.assertEqual(first["from_place"], "1:1")
        self.assertGreater(first["transactions"], totals["shipped"]["transactions"])

    def test_a_target_joins_while_a_transaction_larger_than_the_near_journal_is_open(self):
        small = {"max": "16MiB", "segment": "1MiB", "keep": "0s"}
        large = {"journal": {**small, "max": "1GiB"}}
        deployment = self.start(
            targets=2,
            settings={"logical_decoding_work_mem": "64kB"},
            stream_in={"r2": large, "r3": large},
            wait=False,
            to=["app-r2"],
            journal=small,
        )
        source, third = deployment.source, deployment.regions[2].postgres
        deployment.wait_for_state("streaming", 60, target_index=1)
        self.wait_applied(deployment)
        connection = source.connect()
        connection.autocommit = False
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
                "FROM generate_series(100000, 128000) i"
            )

        def passed_on():
            return int(deployment.source_view()["journal"]["first_place"].split(":")[1]) > 100

        self.wait(passed_on, 30, "the open transaction is not passed on")
        deployment.streams["app"]["to"] = ["app-r2", "app-r3"]
        deployment.write_config()
        for agent in deployment.agents.values():
            agent.process.send(1)  # SIGHUP
        deployment.wait_for_state("streaming", 60, target_index=1)
        self.write_bulk(source, 20)
        self.wait_applied(deployment)
        connection.commit()
        deployment.wait_for_state("streaming", 60, target_index=2)
        for target in deployment.target, third:
            self.wait_applied(deployment, target=target)
            self.expect_equal(source, target)
        self.expect_counted_since_it_joined(deployment)
        self.expected_in_log += (r" config\.warning .* no stream uses it",)


SMALL = {"max": "12MiB", "segment": "1MiB", "keep": "0s", "free_min": "0B"}


class FarTest(FullTest):
    def insert_bulk(self, cursor, megabytes=1):
        for _ in range(megabytes):
            cursor.execute(
                "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
                "FROM generate_series(%s, %s) i",
                (self.written, self.written + 999),
            )
            self.written += 1000

    def open_transaction(self, source, megabytes=1):
        connection = source.connect()
        connection.autocommit = False
        self.insert_bulk(connection.cursor(), megabytes)
        return connection

    def test_streamed_transactions_that_overlap_without_a_pause_do_not_fill_it(self):
        deployment = self.start(settings={"logical_decoding_work_mem": "64kB"}, journal=SMALL)
        source, far = deployment.source, deployment.far
        self.wait_applied(deployment)
        older = self.open_transaction(source)
        for number in range(24):
            newer = self.open_transaction(source)
            older.commit()
            older.close()
            older = newer
            if number % 10 == 0:
                self.wait_applied(deployment)
        self.wait_applied(deployment)
        # Who begins anew learns what the open one's predecessors defined.
        far.restart_after_kill()
        source.sql("UPDATE public.bulk SET body = 'again' WHERE id < 10")
        self.wait_applied(deployment)
        older.commit()
        self.wait_applied(deployment)
        self.expect_equal(source, deployment.target)

    def test_an_open_transaction_larger_than_it_is_named_until_there_is_room(self):
        deployment = self.start(
            settings={"logical_decoding_work_mem": "64kB"},
            stream_in={"r2": {"journal": dict(SMALL)}},
            journal={**SMALL, "max": "64MiB"},
        )
        source, far = deployment.source, deployment.far
        self.wait_applied(deployment)
        large = self.open_transaction(source, 16)
        leg = deployment.wait_for_state("degraded", 30)
        self.assertIn("raise streams.app.journal.max", leg["remedy"])
        open_one = re.compile(r"transaction \d+ of the source .* its end has not")
        for region in deployment.regions:
            self.wait(
                lambda region=region: open_one.search(deployment.leg(region=region)["reason"]),
                20,
                f"{region.name} does not name the open transaction",
            )
        deployment.stream_in["r2"]["journal"]["max"] = "64MiB"
        deployment.write_config()
        far.process.send(1)  # SIGHUP
        large.commit()
        deployment.wait_for_state("streaming", 30)
        self.wait_applied(deployment)
        self.expect_equal(source, deployment.target)


if __name__ == "__main__":
    preamble.main()
