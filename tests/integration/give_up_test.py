#!/usr/bin/python3
"""The near journal is full for long: the slot is given up before the source's disk fills, or a
target that is not required is overtaken. A resnapshot puts either right. A target that is no
longer in the file, or no longer required, holds nobody up."""

import shutil

import preamble
from lab import workload
from lab.full import FullTest


class GiveUpTest(FullTest):
    def test_the_slot_is_given_up_at_wal_max_and_a_resnapshot_makes_both_sides_equal(self):
        self.expected_in_log += (
            r" source\.slot_dropped ",
            r" stream\.state .* failed",
            r" journal\.cleared ",
        )
        deployment = self.start(
            small_disk="12m",
            journal={"max": "64MiB", "segment": "1MiB", "keep": "0s", "free_min": "4MiB"},
            source={"retain_max": "16MiB", "wal_max": "32MiB"},
        )
        writer = workload.MixedWriter(deployment.source, pause=0.01).start()
        self.wait_applied(deployment)
        deployment.wan.cut()
        self.write_bulk(deployment.source, 4)

        def forecasts():
            capture = deployment.source_view()["capture"]
            hours = capture["hours_to_retain_max"], capture["hours_to_wal_max"]
            return None not in hours and hours

        # Both come within minutes at this rate; the near journal has nearly all that is held.
        for hours in self.wait(forecasts, 20, "no forecasts while the source's log piles up"):
            self.assertTrue(0 <= hours < 1, hours)
        self.write_bulk(deployment.source, 40)
        capture = deployment.wait_for_capture("failed", 30, "wal_max")
        self.assertIn("resnapshot", capture["remedy"])
        self.assertIsNone(self.walsender(deployment))
        self.write_bulk(deployment.source, 1)
        deployment.wan.heal()
        self.wait(lambda: deployment.leg()["reason"] is None, 30, "the WAN is not back")
        deployment.farshore("stream", "resnapshot", "app", "--yes")
        deployment.wait_for_capture("streaming", 30)
        self.wait_copied(deployment)
        self.finish(deployment, writer)

    def test_with_drop_the_slowest_target_that_is_not_required_is_overtaken(self):
        self.expected_in_log += (
            r" journal\.consumer_overtaken ",
            r" stream\.state .* failed",
            r" journal\.cleared ",
        )
        deployment = self.start(
            targets=2,
            to=["app-r2", {"site": "app-r3", "required": False}],
            small_disk="12m",
            journal={
                "max": "64MiB",
                "segment": "1MiB",
                "keep": "0s",
                "free_min": "4MiB",
                "when_full": "drop",
            },
        )
        slow = deployment.regions[2]
        writer = workload.MixedWriter(deployment.source, pause=0.01).start()
        for typed_at in deployment.regions[0], slow:
            self.wait_applied(deployment, target=slow.postgres)
            self.overtake(deployment)
            words = ("stream", "resnapshot", "app", "--to", "app-r3", "--yes")
            deployment.farshore(*words, region=typed_at)
            self.wait_copied(deployment, target=slow.postgres)
            deployment.wait_for_state("streaming", 60, target_index=2)
        self.finish(deployment, writer)
        self.wait_applied(deployment, target=slow.postgres)
        self.expect_equal(deployment.source, slow.postgres)

    def overtake(self, deployment):
        """The third target lacks what the near journal has dropped, and both ends say so."""
        deployment.wans["r1", "r3"].cut()
        self.write_bulk(deployment.source, 16)
        self.wait_applied(deployment)
        self.assertIn("journal.consumer_overtaken", deployment.farshore("events"))
        deployment.wait_for_capture("streaming", 1)
        deployment.wans["r1", "r3"].heal()
        for region in deployment.regions[0], deployment.regions[2]:

            def overtaken(region=region):
                leg = deployment.leg(2, region=region)
                return leg["state"] == "failed" and leg

            leg = self.wait(overtaken, 30, f"{region.name} does not say that it was overtaken")
            self.assertIn("trimmed", leg["reason"])
            self.assertIn("resnapshot app --to app-r3", leg["remedy"])

    def test_a_paused_target_that_was_overtaken_says_so_and_is_copied_anew(self):
        self.expected_in_log += (
            r" journal\.consumer_overtaken ",
            r" stream\.state .* failed",
            r" journal\.cleared ",
        )
        deployment = self.start(
            to=[{"site": "app-r2", "required": False}],
            journal={"max": "16MiB", "segment": "1MiB", "keep": "0s", "when_full": "drop"},
        )
        far = deployment.regions[1]
        self.write_bulk(deployment.source, 2)
        self.wait_applied(deployment)
        deployment.farshore("stream", "pause", "app", region=far)
        self.write_bulk(deployment.source, 24)
        leg = deployment.wait_for_state("failed", 60, target_index=1)
        self.assertIn("resnapshot", leg["remedy"])
        deployment.farshore("stream", "resume", "app", region=far)
        deployment.far.restart_after_kill()
        leg = deployment.wait_for_state("failed", 60, target_index=1)
        self.assertIn("resnapshot", leg["remedy"])
        self.assertEqual(deployment.target.value("SELECT count(*) FROM public.bulk"), 2000)
        refused = deployment.run_farshore(
            "stream", "resnapshot", "app", "--table", "public.bulk", "--yes", region=far
        )
        self.assertEqual(refused.returncode, 1, refused.stdout)
        deployment.farshore("stream", "resnapshot", "app", "--yes", region=far)
        self.wait_copied(deployment)
        deployment.wait_for_state("streaming", 60)
        self.write_bulk(deployment.source, 1)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)

    def test_the_slot_is_given_up_at_wal_max_also_while_capture_waits_for_its_targets(self):
        self.expected_in_log += (
            r" source\.slot_dropped ",
            r" stream\.(state .* failed|near_journal_lost)",
            r" journal\.cleared ",
        )
        deployment = self.start(source={"retain_max": "16MiB", "wal_max": "32MiB"})
        self.wait_applied(deployment)
        deployment.near.kill()
        deployment.wan.cut()
        shutil.rmtree(deployment.near.data)
        deployment.near.start()
        deployment.wait_for_capture("starting", 20)
        self.write_bulk(deployment.source, 20)
        self.assertTrue(self.slots(deployment))
        self.write_bulk(deployment.source, 20)
        self.wait(lambda: not self.slots(deployment), 30, "its log piles up at the source")
        self.assertIn("source.wal_max", deployment.farshore("events"))
        deployment.wan.heal()
        capture = deployment.wait_for_capture("failed", 40, "is not held for us")
        self.assertIn("resnapshot", capture["remedy"])
        deployment.farshore("stream", "resnapshot", "app", "--yes")
        deployment.wait_for_capture("streaming", 30)
        self.wait_copied(deployment)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)

    def test_the_slot_is_given_up_at_wal_max_also_when_the_journal_does_not_open(self):
        self.expected_in_log += (
            r" source\.(slot_dropped|upkeep_failed) ",
            r" stream\.state .* failed",
            r" journal\.tail_cut ",
        )
        deployment = self.start(source={"retain_max": "16MiB", "wal_max": "32MiB"})
        self.wait_applied(deployment)
        deployment.near.stop()
        history = deployment.near.data / "streams" / "app" / "source" / "journal" / "history"
        content = history.read_bytes()
        history.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        deployment.near.start()
        deployment.wait_for_capture("failed", 20, "history")
        self.write_bulk(deployment.source, 40)
        self.wait(lambda: not self.slots(deployment), 30, "its log piles up at the source")
        self.assertIn("source.wal_max", deployment.farshore("events"))

    def slots(self, deployment):
        return deployment.source.value("SELECT count(*) FROM pg_replication_slots")

    def start_two(self):
        self.expected_in_log += (r" config\.warning ", r" stream\.(target_forgotten|removed) ")
        deployment = self.start(
            targets=2, journal={"max": "16MiB", "segment": "1MiB", "keep": "0s"}
        )
        for region in deployment.regions[1:]:
            self.wait_applied(deployment, target=region.postgres)
        return deployment

    def start_anew(self, deployment, targets, **journal):
        """Both agents that are left, with other targets in the file."""
        stream = deployment.streams["app"]
        stream["to"] = targets
        stream["journal"].update(journal)
        deployment.write_config()
        for region in deployment.regions[1], deployment.regions[0]:
            deployment.agents[region.name].stop()
            deployment.agents[region.name].start()
        deployment.wait_for_state("streaming", 60, target_index=1)

    def test_a_target_that_was_taken_out_of_the_file_holds_nothing(self):
        deployment = self.start_two()
        near, healthy, gone = deployment.regions
        words = ("stream", "remove", "app", "--to", "app-r3", "--yes")
        refused = deployment.run_farshore(*words, region=near)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("take 'app-r3' out of `to`", refused.stderr)
        deployment.farshore(*words, region=gone)
        deployment.agents["r3"].stop()
        self.start_anew(deployment, ["app-r2"])
        self.write_bulk(deployment.source, 22)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, healthy.postgres)
        self.assertIn("stream.target_forgotten", deployment.farshore("events"))
        deployment.wait_for_capture("streaming", 1)
        refused = deployment.run_farshore(*words, region=near)
        self.assertIn("nothing is kept for it", refused.stderr)

    def test_a_target_that_is_no_longer_required_is_overtaken_though_it_never_came_back(self):
        self.expected_in_log += (r" journal\.consumer_overtaken ",)
        deployment = self.start_two()
        deployment.agents["r3"].kill()
        targets = ["app-r2", {"site": "app-r3", "required": False}]
        self.start_anew(deployment, targets, when_full="drop")
        self.write_bulk(deployment.source, 22)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.regions[1].postgres)
        self.assertIn("journal.consumer_overtaken", deployment.farshore("events"))
        deployment.wait_for_capture("streaming", 1)


if __name__ == "__main__":
    preamble.main()
