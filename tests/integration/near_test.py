#!/usr/bin/python3
"""The near disk is lost with the WAN cut: within what the source retains for us nothing is lost;
beyond it the stream stops, says so, and a resnapshot puts it right. Or the far disk is lost."""

import re
import shutil
import time

import preamble
from lab import workload
from lab.case import LabTest

MEBIBYTE = 1 << 20


class NearTest(LabTest):
    expected_in_log = (r" link\.", r" stream\.retry ", r" stream\.near_journal_lost ")

    def start(self, targets=1, **stream):
        source = self.postgres("source")
        workload.make_tables(source)
        source.sql("CREATE TABLE public.bulk (id bigint PRIMARY KEY, body text)")
        self.make_marks(source)
        others = [self.postgres(f"target{number}") for number in range(targets)]
        return self.deploy(source, *others, stream=stream)

    def write_bulk(self, source, megabytes, first):
        """About so much of log, in rows whose ids begin at `first`."""
        source.sql(
            "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
            "FROM generate_series(%s, %s) i",
            (first, first + megabytes * 1000),
        )

    def lose_near_disk(self, deployment):
        deployment.near.kill()
        shutil.rmtree(deployment.near.data)

    def captured(self, deployment):
        """All that is committed now is in the near journal."""
        commit = deployment.source.value("SELECT now()")

        def there():
            view = deployment.source_view()
            heartbeat_at = view["capture"]["heartbeat_at"] or ""  # none yet
            return heartbeat_at > commit.isoformat().replace("+00:00", "Z")

        self.wait(there, 30, "the commit is not captured")

    def durable(self, deployment, index=1):
        """The sequence up to which a target's journal is durable, and the epoch."""
        epoch, sequence = deployment.leg(index)["durable_place"].split(":")
        return int(epoch), int(sequence)

    def released(self, deployment):
        return deployment.farshore("events").count("source.released_early")

    def test_within_retain_max_nothing_is_lost(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        writer = workload.MixedWriter(source, pause=0.005).start()
        self.wait_applied(deployment)
        deployment.wan.cut()
        self.write_bulk(source, 5, 1)
        self.captured(deployment)
        epoch, before = self.durable(deployment)
        self.assertEqual(target.value("SELECT count(*) FROM public.bulk"), 0)
        self.lose_near_disk(deployment)
        self.write_bulk(source, 1, 100_000)
        deployment.near.start()
        deployment.wait_for_capture("starting", 20, "app-r2")
        committed = writer.committed
        time.sleep(2)
        self.assertGreater(writer.committed, committed, "the application waits")
        deployment.wan.heal()
        deployment.wait_for_capture("streaming", 40)
        self.assertIn(f"after {epoch}:", deployment.farshore("events"))
        self.wait_applied(deployment)
        self.assertGreater(writer.stop(), 30)
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        now_epoch, now = self.durable(deployment)
        self.assertEqual(now_epoch, epoch)
        self.assertGreater(now, before)

    def test_beyond_retain_max_the_stream_stops_and_a_resnapshot_makes_both_sides_equal(self):
        self.expected_in_log += (r" source\.released_", r" stream\.state ", r" journal\.cleared ")
        deployment = self.start(source={"retain_max": "16MiB", "wal_max": "1GiB"})
        source, target = deployment.source, deployment.target
        self.write_bulk(source, 1, 1)
        writer = workload.MixedWriter(source, pause=0.005).start()
        self.wait_applied(deployment)
        deployment.wan.cut()
        self.write_bulk(source, 22, 100_000)
        source.sql("DELETE FROM public.bulk WHERE id < 100")
        self.captured(deployment)
        self.wait(lambda: self.released(deployment), 20, "the slot is not released early")
        self.lose_near_disk(deployment)
        deployment.near.start()
        deployment.wan.heal()
        capture = deployment.wait_for_capture("failed", 40, "no longer held")
        self.assertIn("resnapshot app", capture["remedy"])
        self.assertNotIn("resnapshot", capture["reason"])
        self.assertEqual(target.value("SELECT count(*) FROM public.bulk WHERE id < 100"), 99)
        done = deployment.run_farshore(
            "stream", "resnapshot", "app", "--table", "public.bulk", "--yes"
        )
        self.assertEqual(done.returncode, 1, "one table is not enough")
        deployment.farshore("stream", "resume", "app")
        deployment.wait_for_capture("failed", 20, "no longer held")
        deployment.farshore("stream", "resnapshot", "app", "--yes")
        deployment.wait_for_capture("streaming", 30)
        self.wait_copied(deployment)
        deployment.wait_for_state("streaming", 60)
        self.wait_applied(deployment)
        self.assertGreater(writer.stop(), 30)
        self.wait_applied(deployment)
        self.expect_equal(source, target)
        deployment.near.restart_after_kill()
        self.wait_applied(deployment)
        self.expected_in_log += (r" journal\.tail_cut ",)

    def test_a_far_disk_that_held_what_was_not_applied_is_told_and_a_resnapshot_helps(self):
        self.expected_in_log += (r" stream\.state .* failed", r" journal\.cleared ")
        deployment = self.start(journal={"keep": "0s", "segment": "1MiB", "max": "64MiB"})
        source, target = deployment.source, deployment.target
        far = deployment.regions[1]
        self.write_bulk(source, 3, 1)
        self.wait_applied(deployment)
        deployment.farshore("stream", "pause", "app", region=far)
        self.write_bulk(source, 6, 100_000)
        self.captured(deployment)
        self.wait(
            lambda: deployment.source_view()["journal"]["bytes"] < 4 * MEBIBYTE,
            30,
            "the near journal keeps what the far one holds",
        )
        deployment.far.kill()
        shutil.rmtree(deployment.far.data)
        deployment.far.start()
        leg = deployment.wait_for_state("failed", 60, target_index=1)
        self.assertIn("the journal begins at", leg["reason"])
        self.assertIn("resnapshot", leg["remedy"])
        refused = deployment.run_farshore(
            "stream", "resnapshot", "app", "--table", "public.bulk", "--yes", region=far
        )
        self.assertEqual(refused.returncode, 1, refused.stdout)
        deployment.farshore("stream", "resnapshot", "app", "--yes")
        self.wait_copied(deployment)
        self.wait_applied(deployment)
        self.expect_equal(source, target)

    def test_the_regions_that_were_behind_get_what_the_lost_disk_held_from_the_others(self):
        deployment = self.start(targets=2)
        source = deployment.source
        ahead, behind = deployment.regions[1:]
        self.wait_applied(deployment, target=behind.postgres)
        deployment.wans["r1", "r3"].cut()
        self.write_bulk(source, 5, 1)
        self.wait_applied(deployment)
        place = self.durable(deployment, 2)[1]
        self.assertGreater(self.durable(deployment, 1)[1], place)
        self.lose_near_disk(deployment)
        self.write_bulk(source, 1, 100_000)
        deployment.near.start()
        deployment.wans["r1", "r3"].heal()
        deployment.wait_for_capture("streaming", 40)
        for region in (ahead, behind):
            self.wait_applied(deployment, target=region.postgres)
            self.expect_equal(source, region.postgres)
        first = deployment.source_view()["journal"]["first_place"]
        self.assertEqual(int(re.match(r"\d+:(\d+)", first)[1]), place + 1)


if __name__ == "__main__":
    preamble.main()
