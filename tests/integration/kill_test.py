#!/usr/bin/python3
"""kill -9 of every process under load: every row is on the other side once, and only once."""

import time

import preamble
from lab import workload
from lab.case import LabTest


class KillTest(LabTest):
    # What must be said when a peer or a server dies.
    expected_in_log = (r" link\.", r" stream\.retry ", r" heartbeat\.", r" journal\.tail_cut ")

    def start(self, **options):
        source, target = self.postgres("source"), self.postgres("target", **options)
        workload.make_tables(source)
        self.make_marks(source)
        return self.deploy(source, target, rtt="10ms")

    def write(self, deployment, seed=1, first=1, step=2):
        return workload.MixedWriter(deployment.source, seed, first, step).start()

    def wait_written(self, writer):
        """On a crowded machine the pauses of a test are not enough."""
        self.wait(lambda: writer.committed > 10 or writer.failure, 30, "the writer does not write")

    def check(self, deployment, writers, expect_errors=False):
        for writer in writers:
            self.wait_written(writer)
            self.assertGreater(writer.stop(expect_errors), 10)
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(deployment.source, deployment.target), 100)

    def test_the_receiving_agent_is_killed_three_times(self):
        deployment = self.start()
        writers = [self.write(deployment, 1, 1), self.write(deployment, 2, 2)]
        for pause in (1.5, 0.7, 1.1):
            time.sleep(pause)
            deployment.far.restart_after_kill()
        time.sleep(1)
        self.check(deployment, writers)

    def test_the_capturing_agent_is_killed_three_times(self):
        deployment = self.start()
        writers = [self.write(deployment, 1, 1), self.write(deployment, 2, 2)]
        for pause in (1.5, 0.7, 1.1):
            time.sleep(pause)
            deployment.near.restart_after_kill()
        time.sleep(1)
        self.check(deployment, writers)

    def captured(self, deployment):
        """Transactions and changes that the near agent says were captured; none while it starts."""
        view = deployment.try_source_view()
        totals = view and view["capture"] and view["capture"]["totals"]
        return totals and (totals["transactions"] or 0, totals["changes"] or 0)

    def received(self, deployment):
        leg = deployment.try_leg()
        totals = leg and leg["totals"]["shipped"]
        return totals and (totals["transactions"], totals["changes"])

    def applied(self, deployment):
        """Transactions that the far agent says were applied since the stream began."""
        leg = deployment.try_leg()
        totals = leg and leg["totals"]["applied"]
        return (totals and totals["from_place"] == "1:1" and totals["transactions"]) or 0

    def test_counts_go_on_over_the_death_of_either_agent(self):
        deployment = self.start()
        writers = [self.write(deployment)]
        for pause in (2, 7, 1):  # before the counts are written, after, soon again
            time.sleep(pause)
            before = self.wait(
                lambda: (self.captured(deployment) or (0,))[0] > 10 and self.captured(deployment),
                20,
                "nothing is captured",
            )
            applied = self.applied(deployment)
            deployment.near.restart_after_kill()
            deployment.far.restart_after_kill()
            deployment.wait_for_capture("streaming", 30)
            after = self.captured(deployment)
            self.assertGreaterEqual(after, before)
            self.assertGreaterEqual(after[1], before[1])
            self.wait(
                lambda least=applied: self.applied(deployment) >= least,
                20,
                lambda least=applied: f"applied {self.applied(deployment)}, before {least}",
            )
        self.check(deployment, writers)
        self.wait(
            lambda: self.captured(deployment) == self.received(deployment) is not None,
            10,
            lambda: f"captured {self.captured(deployment)}, received {self.received(deployment)}",
        )
        self.wait(
            lambda: self.applied(deployment) == self.captured(deployment)[0],
            10,
            lambda: f"captured {self.captured(deployment)}, applied {self.applied(deployment)}",
        )
        self.assertTrue((deployment.near.data / "streams/app/source/counts").exists())
        self.assertTrue((deployment.far.data / "streams/app/to-app-r2/applied").exists())

    def test_both_agents_are_killed_at_once(self):
        deployment = self.start()
        writers = [self.write(deployment)]
        for pause in (1.5, 1.0):
            time.sleep(pause)
            deployment.near.kill()
            deployment.far.kill()
            deployment.far.start()
            deployment.near.start()
        time.sleep(1)
        self.check(deployment, writers)

    def test_the_target_database_is_killed(self):
        deployment = self.start(fsync="on")
        writers = [self.write(deployment)]
        for pause in (1.5, 1.0):
            time.sleep(pause)
            deployment.target.kill()
            deployment.target.start()
        time.sleep(1)
        self.check(deployment, writers)

    def test_the_source_database_is_killed(self):
        deployment = self.start()
        first = self.write(deployment, 1, 1)
        time.sleep(1.5)
        self.wait_written(first)
        deployment.source.kill()
        deployment.source.start()
        second = self.write(deployment, 2, 2)
        time.sleep(2)
        self.check(deployment, [first, second], expect_errors=True)


if __name__ == "__main__":
    preamble.main()
