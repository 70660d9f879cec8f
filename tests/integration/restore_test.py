#!/usr/bin/python3
"""The source's storage is put back to an earlier state and recovers as after a crash: its system
and timeline are the same, its log is not. Nothing is captured from it until all is copied anew."""

import subprocess

import preamble
from lab import workload
from lab.case import LabTest


class RestoreTest(LabTest):
    expected_in_log = (
        r" link\.",
        r" stream\.(retry|state) ",
        r" source\.upkeep_failed ",
        r" heartbeat\.failed ",
        r" journal\.(cleared|tail_cut) ",
    )

    def start(self, targets=1):
        source = self.postgres("source")
        workload.make_tables(source)
        source.sql("CREATE TABLE public.bulk (id bigint PRIMARY KEY, body text)")
        self.make_marks(source)
        others = [self.postgres(f"target{number}") for number in range(targets)]
        deployment = self.deploy(source, *others)
        self.write(source, 1, 100, "kept")
        for other in others:
            self.wait_applied(deployment, target=other)
        return deployment

    def write(self, source, first, last, body):
        source.sql(
            "INSERT INTO public.bulk SELECT i, %s || repeat('x', 500) "
            "FROM generate_series(%s, %s) i",
            (body, first, last),
        )

    def keep(self, source):
        source.kill()
        subprocess.run(["cp", "-a", source.data, f"{source.data}.kept"], check=True)
        source.start()

    def put_back(self, source):
        source.kill()
        subprocess.run(["rm", "-rf", source.data], check=True)
        subprocess.run(["mv", f"{source.data}.kept", source.data], check=True)
        source.start()

    def expect_refused(self, deployment, text):
        capture = deployment.wait_for_capture("failed", 40, text)
        self.assertIn("the server was set back", capture["reason"])
        self.assertIn("resnapshot app", capture["remedy"])

    def expect_mended(self, deployment, targets):
        source = deployment.source
        deployment.farshore("stream", "resnapshot", "app", "--yes")
        deployment.wait_for_capture("streaming", 30)
        for target in targets:
            self.wait_copied(deployment, target=target)
        self.write(source, 50_001, 50_100, "after the copy")
        for target in targets:
            self.wait(
                lambda target=target: target.value("SELECT 1 FROM public.bulk WHERE id = 50100"),
                60,
                lambda: f"what follows the copy does not arrive: {deployment.try_leg()}",
            )
            self.expect_equal(source, target)

    def test_a_source_that_lacks_what_we_hold_is_refused_until_it_is_copied_anew(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        self.keep(source)
        self.write(source, 1_001, 6_000, "lost")
        source.sql("UPDATE public.bulk SET body = 'lost' WHERE id <= 50")
        self.wait_applied(deployment)
        self.put_back(source)
        self.write(source, 10_001, 10_010, "other")
        self.expect_refused(deployment, "its log ends at")
        deployment.farshore("stream", "resume", "app")
        self.expect_refused(deployment, "its log ends at")
        self.assertIsNone(target.value("SELECT 1 FROM public.bulk WHERE id = 10001"))
        self.expect_mended(deployment, [target])
        deployment.near.restart_after_kill()
        self.write(source, 60_001, 60_001, "more")
        self.wait(
            lambda: target.value("SELECT 1 FROM public.bulk WHERE id = 60001"), 60, "it stays away"
        )
        self.expect_equal(source, target)

    def test_one_that_has_grown_beyond_our_place_meanwhile_is_recognised_too(self):
        deployment = self.start(targets=2)
        source = deployment.source
        targets = [region.postgres for region in deployment.regions[1:]]
        self.keep(source)
        self.write(source, 1_001, 1_900, "lost")
        for target in targets:
            self.wait_applied(deployment, target=target)
        deployment.near.stop()
        self.put_back(source)
        self.write(source, 2_001, 12_000, "other")
        deployment.near.start()
        self.expect_refused(deployment, "captured")
        # Recognised again, also by an agent that knows nothing of the first time.
        deployment.near.restart_after_kill()
        self.expect_refused(deployment, "captured")
        for target in targets:
            self.assertEqual(target.value("SELECT count(*) FROM public.bulk"), 1_000)
        self.expect_mended(deployment, targets)


if __name__ == "__main__":
    preamble.main()
