#!/usr/bin/python3
"""One stream under load, from the initial copy to the last commit, in all pairs of versions."""

import time

import preamble
from lab import workload
from lab.case import LabTest


class FlowTest(LabTest):
    def flows(self, from_version, to_version):
        source = self.postgres("source", from_version)
        target = self.postgres("target", to_version)
        workload.make_tables(source)
        self.make_marks(source)
        before = workload.MixedWriter(source, seed=1, first=1, step=3).start()
        time.sleep(1)
        during = workload.MixedWriter(source, seed=2, first=2, step=3).start()
        deployment = self.deploy(source, target, rtt="20ms")
        after = workload.MixedWriter(source, seed=3, first=3, step=3).start()
        time.sleep(3)
        committed = before.stop() + during.stop() + after.stop()
        self.assertGreater(committed, 50)
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(source, target), 100)
        leg = deployment.leg()
        self.assertEqual(leg["state"], "streaming")
        for lag in ("durability", "apply"):
            self.assertIsNotNone(leg["lag"][lag]["age_seconds"], lag)
            self.assertGreater(leg["lag"][lag]["age_seconds"], 0)
        deployment.expect_quiet_logs()
        deployment.stop()
        self.expected_in_log += (r" link\.disconnected ",)  # the peer that stopped first

    def test_15_to_15(self):
        self.flows(15, 15)

    def test_15_to_18(self):
        self.flows(15, 18)

    def test_18_to_15(self):
        self.flows(18, 15)

    def test_18_to_18(self):
        self.flows(18, 18)


if __name__ == "__main__":
    preamble.main()
