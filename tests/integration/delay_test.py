#!/usr/bin/python3
"""Applying is held back while the far journal stays current: a DELETE without WHERE at the source
has not yet happened at the target."""

import datetime
import re
import time

import preamble
from lab.case import LabTest

ROWS = 1000
DELAY_SECONDS = 6


class DelayTest(LabTest):
    expected_in_log = (r" stream\.skip",)

    def start(self, **stream):
        source, target = self.postgres("source"), self.postgres("target")
        source.sql("CREATE TABLE public.orders (id integer PRIMARY KEY, body text)")
        source.sql(
            "INSERT INTO public.orders SELECT i, 'old' FROM generate_series(1, %s) i", (ROWS,)
        )
        self.make_marks(source)
        return self.deploy(source, target, stream=stream)

    def rows(self, deployment):
        return deployment.target.value("SELECT count(*) FROM public.orders")

    def expect_current_far_journal(self, deployment):
        leg = deployment.leg()
        self.assertLess(leg["lag"]["durability"]["age_seconds"], 4)
        return leg

    def delete_all(self, deployment):
        """Deletes all rows; the moment at which the delete had not begun yet."""
        before = datetime.datetime.now(datetime.timezone.utc)
        time.sleep(0.2)  # the server's commit time is later than what `pause --at` is told
        deployment.source.sql("DELETE FROM public.orders")
        return before.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def test_with_apply_delay_a_delete_arrives_so_much_later(self):
        deployment = self.start(apply_delay=f"{DELAY_SECONDS}s")
        began = time.monotonic()
        self.delete_all(deployment)
        while time.monotonic() - began < DELAY_SECONDS - 2:
            self.assertEqual(self.rows(deployment), ROWS)
            time.sleep(0.5)
        self.expect_current_far_journal(deployment)
        self.wait(lambda: self.rows(deployment) == 0, 10, "the delete never arrives")
        self.assertGreaterEqual(time.monotonic() - began, DELAY_SECONDS)
        self.assertGreater(deployment.leg()["lag"]["apply"]["age_seconds"], DELAY_SECONDS - 1)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)

    def test_the_delay_holds_over_a_kill_and_a_pause_within_it_stops_the_delete(self):
        deployment = self.start(apply_delay=f"{DELAY_SECONDS}s")
        far = deployment.regions[1]
        before = self.delete_all(deployment)
        deployment.far.restart_after_kill()
        deployment.wait_for_state("streaming", 30)
        deployment.farshore("stream", "pause", "app", "--at", before, region=far)
        leg = deployment.wait_for_state("paused", DELAY_SECONDS + 10)
        time.sleep(2)
        self.assertEqual(self.rows(deployment), ROWS)
        self.assertIn(before, leg["reason"])
        self.expect_current_far_journal(deployment)
        deployment.farshore("stream", "resume", "app", region=far)
        self.wait(lambda: self.rows(deployment) == 0, 20, "the delete never arrives")
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)
        self.expected_in_log += (r" link\.", r" stream\.retry ", r" journal\.tail_cut ")

    def test_pause_at_a_time_stops_before_it_and_the_delete_is_skipped(self):
        deployment = self.start()
        source, target, far = deployment.source, deployment.target, deployment.regions[1]
        now = datetime.datetime.now(datetime.timezone.utc)
        at = (now + datetime.timedelta(seconds=4)).isoformat(timespec="seconds")
        self.expect_told_where_it_was_given(deployment)
        deployment.farshore("stream", "pause", "app", "--at", at.replace("+00:00", "Z"))
        source.sql("INSERT INTO public.orders VALUES (%s, 'before')", (ROWS + 1,))
        self.wait(lambda: self.rows(deployment) == ROWS + 1, 3, "paused too early")
        time.sleep(5)
        source.sql("DELETE FROM public.orders")
        source.sql("INSERT INTO public.orders VALUES (%s, 'after')", (ROWS + 2,))
        deployment.wait_for_state("paused", 10)
        time.sleep(1)
        self.assertEqual(self.rows(deployment), ROWS + 1)
        leg = self.expect_current_far_journal(deployment)
        place = re.search(r"next is transaction \d+ at (\S+), (\d+) changes", leg["reason"])
        self.assertEqual(int(place[2]), ROWS + 1)
        deployment.farshore("stream", "skip", "app", place[1], "--yes", region=far)
        self.wait(
            lambda: re.search(r"next is transaction \S+ at \S+, 1 ch", self.reason(deployment)),
            5,
            lambda: self.reason(deployment),
        )
        deployment.farshore("stream", "resume", "app", region=far)
        self.wait(lambda: self.rows(deployment) == ROWS + 2, 20, "it does not go on")
        self.assertEqual(
            target.value("SELECT count(*) FROM public.orders WHERE body = 'old'"), ROWS
        )
        events = deployment.farshore("events", region=far)
        self.assertIn("skipped", events)
        self.wait_applied(deployment)

    def reason(self, deployment):
        return deployment.leg(region=deployment.regions[0])["reason"]

    def expect_told_where_it_was_given(self, deployment):
        """By the source's agent, as soon as the verb has ended."""
        near = deployment.regions[0]
        for when in ["--at", "2036-11-24T16:00:00Z"], []:
            deployment.farshore("stream", "pause", "app", *when, region=near)
            leg = deployment.leg(region=near)
            self.assertEqual(leg["state"], "streaming" if when else "paused")
            self.assertEqual(leg["paused_until"], "2036-11-24T16:00:00.000Z" if when else None)
            said = deployment.farshore("stream", "resume", "app", region=near)
            self.assertIn("resume is under way", said)
            deployment.wait_for_state("streaming", 10)
        self.wait(
            lambda: "was not paused, and nothing had failed"
            in deployment.farshore("stream", "resume", "app", region=near),
            10,
            "it still says that it is paused",
        )

    def refused(self, deployment, place):
        far = deployment.regions[1]
        began = time.monotonic()
        done = deployment.run_farshore("stream", "skip", "app", place, "--yes", region=far)
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        return done.stderr

    def test_a_skip_that_names_nothing_is_refused_and_holds_up_nothing(self):
        deployment = self.start()
        target, far = deployment.target, deployment.regions[1]
        self.assertIn("neither failed nor paused", self.refused(deployment, "1:99999999"))
        time.sleep(4)
        self.assertLess(deployment.leg()["lag"]["apply"]["age_seconds"], 4)
        deployment.farshore("stream", "pause", "app", region=far)
        deployment.wait_for_state("paused", 20)
        self.assertIn("nothing is at 1:99999999 yet", self.refused(deployment, "1:99999999"))
        deployment.source.sql("DELETE FROM public.orders")
        self.wait(
            lambda: "next is transaction" in deployment.leg()["reason"], 20, "names no transaction"
        )
        self.assertIn("no transaction waits at 1:1", self.refused(deployment, "1:1"))
        deployment.farshore("stream", "resume", "app", region=far)
        self.wait(lambda: self.rows(deployment) == 0, 20, "it does not go on")
        self.assertEqual(target.value("SELECT count(*) FROM farshore.skipped"), 0)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, target)


if __name__ == "__main__":
    preamble.main()
