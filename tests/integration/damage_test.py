#!/usr/bin/python3
"""A byte of a journal's closed segment changes: found by the scrub or when it is read, named with
file, offset and place, and repaired from the other region's journal, in both directions."""

import re
import time

import preamble
from lab.case import LabTest

JOURNAL = {"segment": "1MiB", "scrub": "2s", "keep": "1h"}


class DamageTest(LabTest):
    expected_in_log = (r" link\.", r" stream\.retry ", r" journal\.damaged ")

    def start(self, **journal):
        source, target = self.postgres("source"), self.postgres("target")
        source.sql("CREATE TABLE public.bulk (id bigint PRIMARY KEY, body text)")
        self.make_marks(source)
        deployment = self.deploy(source, target, stream={"journal": {**JOURNAL, **journal}})
        self.written = 0
        self.write_segments(deployment)
        return deployment

    def write_segments(self, deployment, megabytes=4):
        for _ in range(megabytes):
            deployment.source.sql(
                "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
                "FROM generate_series(%s, %s) i",
                (self.written, self.written + 999),
            )
            self.written += 1000
        self.wait_applied(deployment)

    def near_file(self, deployment, number):
        return deployment.journal_files(deployment.regions[0])[number]

    def far_file(self, deployment, number):
        return deployment.journal_files(deployment.regions[1], "app-r2")[number]

    def inspect(self, deployment, path):
        return deployment.run_farshore("journal", "inspect", path, config=False).stdout

    def test_inspect_shows_records_only_when_asked_to(self):
        deployment = self.start()
        path = self.near_file(deployment, 0)
        summary = self.inspect(deployment, path)
        self.assertRegex(summary, r"preambles begin at: \d+")
        self.assertNotIn("first,last", summary)
        records = deployment.farshore("journal", "inspect", path, "--records", config=False)
        self.assertIn("first,last", records)
        whole = self.inspect(deployment, path.parent)
        self.assertIn("epoch history", whole)
        self.assertRegex(whole, r"(?m)^\d+ segments$")

    def flip_byte(self, deployment, path):
        """Changes one byte in the middle of the file; what `journal inspect` said before."""
        whole = self.inspect(deployment, path)
        self.assertIn("no damage", whole)
        with open(path, "r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 0x10]))
        return whole

    def repaired(self, deployment, path, whole, region):
        """Waits until the file says what it said; checks what was said of it meanwhile."""
        self.wait(
            lambda: self.inspect(deployment, path) == whole, 30, f"{path.name} is not repaired"
        )
        self.wait(
            lambda: "journal.repaired" in deployment.farshore("events", region=region),
            10,
            "no event says that it was repaired",
        )
        events = deployment.farshore("events", region=region)
        damaged = next(line for line in events.splitlines() if "journal.damaged" in line)
        self.assertIn(path.name, damaged)
        self.assertRegex(damaged, r"offset \d+")
        self.assertRegex(damaged, r"\b1:\d+")
        self.wait(lambda: self.health(deployment, region) == "good", 10, "the journal is not good")

    def health(self, deployment, region):
        return deployment.status(region)["streams"][0]["journal"]["health"]

    def finish(self, deployment):
        self.write_segments(deployment)
        self.expect_equal(deployment.source, deployment.target)

    def test_the_scrub_finds_damage_in_the_near_journal_while_the_agent_runs(self):
        deployment = self.start()
        path = self.near_file(deployment, 1)
        whole = self.flip_byte(deployment, path)
        self.repaired(deployment, path, whole, deployment.regions[0])
        self.finish(deployment)

    def test_a_first_file_that_was_removed_while_an_agent_was_stopped_comes_back(self):
        deployment = self.start()
        near, far = deployment.regions
        for agent, region, path in (
            (deployment.near, near, self.near_file(deployment, 0)),
            (deployment.far, far, self.far_file(deployment, 0)),
        ):
            agent.stop()
            path.unlink()
            agent.start()

            def whole(region=region, path=path):
                events = deployment.farshore("events", region=region)
                return (
                    f"{path.name} is damaged" in events
                    and "the file was missing" in events
                    and "no damage" in self.inspect(deployment, path)
                    and self.health(deployment, region) == "good"
                )

            self.wait(
                lambda: deployment.try_source_view() and deployment.try_leg(), 20, "no answer"
            )
            self.wait(whole, 30, lambda: deployment.farshore("events", region=region))
        self.finish(deployment)

    def test_damage_in_the_near_journal_from_while_the_agent_was_stopped(self):
        deployment = self.start()
        path = self.near_file(deployment, 1)
        deployment.near.stop()
        whole = self.flip_byte(deployment, path)
        found = deployment.run_farshore("journal", "inspect", path, config=False)
        self.assertEqual(found.returncode, 1, found.stdout)
        self.assertRegex(found.stdout, "(?m)^(DAMAGE|TORN): ")
        deployment.wan.cut()
        deployment.near.start()
        near = deployment.regions[0]
        self.wait(
            lambda: deployment.try_source_view() and self.health(deployment, near) == "damaged",
            20,
            "the damage is not found",
        )
        reason = deployment.source_view()["journal"]["reason"]
        self.assertIn(path.name, reason)
        self.assertRegex(reason, r"offset \d+")
        deployment.wan.heal()
        self.repaired(deployment, path, whole, near)
        self.finish(deployment)

    def test_the_scrub_finds_damage_in_the_far_journal_while_the_agent_runs(self):
        deployment = self.start()
        path = self.far_file(deployment, 1)
        whole = self.flip_byte(deployment, path)
        self.repaired(deployment, path, whole, deployment.regions[1])
        self.finish(deployment)

    def test_the_target_waits_at_damage_that_it_reads_and_goes_on_when_it_is_repaired(self):
        self.expected_in_log += (r" stream\.state .* failed",)
        deployment = self.start(scrub="1h")
        source, far = deployment.source, deployment.regions[1]
        deployment.farshore("stream", "pause", "app", region=far)
        deployment.wait_for_state("paused", 20)
        source.sql(
            "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
            "FROM generate_series(1000000, 1005000) i"
        )
        self.wait(lambda: len(self.far_segments(deployment)) > 7, 20, "nothing arrives")
        time.sleep(1)
        path = self.far_segments(deployment)[-3]
        deployment.far.stop()
        deployment.wan.cut()
        whole = self.flip_byte(deployment, path)
        deployment.far.start()
        deployment.wait_for_state("paused", 20)
        deployment.farshore("stream", "resume", "app", region=far)
        leg = deployment.wait_for_state("failed", 20)
        self.assertIn(path.name, leg["reason"])
        self.assertTrue(re.search(r"offset \d+", leg["reason"]), leg["reason"])
        self.assertIn("repaired", leg["remedy"])
        deployment.wan.heal()
        deployment.wait_for_state("streaming", 30)
        self.repaired(deployment, path, whole, far)
        self.finish(deployment)

    def far_segments(self, deployment):
        return deployment.journal_files(deployment.regions[1], "app-r2")

    def test_the_damaged_end_of_the_near_journal_comes_back_from_the_far_one(self):
        self.expected_in_log += (r" journal\.tail_cut ",)
        deployment = self.start()
        deployment.near.stop()
        path = self.near_file(deployment, -1)
        with open(path, "r+b") as file:
            file.seek(path.stat().st_size - 12)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 0x10]))
        deployment.source.sql("INSERT INTO public.bulk VALUES (-1, 'while the agent was away')")
        deployment.near.start()
        deployment.wait_for_capture("streaming", 30)
        self.wait_applied(deployment)
        self.assertIn("had already passed", deployment.near.process.output())
        self.expect_equal(deployment.source, deployment.target)


if __name__ == "__main__":
    preamble.main()
