#!/usr/bin/python3
"""The WAN fails in each of its ways: the application never waits, lag grows, then drains."""

import time

import preamble
from lab import workload
from lab.case import LabTest

NOTICED_SECONDS = 10


class WanTest(LabTest):
    expected_in_log = (r" link\.", r" stream\.retry ")

    def start(self):
        source, target = self.postgres("source"), self.postgres("target")
        workload.make_tables(source)
        self.make_marks(source)
        return self.deploy(source, target, rtt="40ms")

    def link(self, deployment, index):
        return deployment.status(deployment.regions[index])["links"][0]

    def wait_noticed(self, deployment):
        for index in (0, 1):
            self.wait(
                lambda: not self.link(deployment, index)["connected"],
                NOTICED_SECONDS + 2,
                f"region {index} does not notice that the WAN is gone",
            )

    def age(self, deployment):
        """Seconds by which the target's region is behind, as that region knows it."""
        return deployment.leg()["lag"]["durability"]["age_seconds"]

    def check(self, deployment, writer):
        self.assertGreater(writer.stop(), 20)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)

    def test_after_a_cut_of_five_seconds_lag_has_grown_and_drains(self):
        deployment = self.start()
        writer = workload.MixedWriter(deployment.source, pause=0.01).start()
        self.wait(lambda: self.age(deployment) < 2, 15, "the lag is never small")
        committed = writer.committed
        deployment.wan.cut()
        time.sleep(5)
        self.assertGreater(self.age(deployment), 4)
        self.assertGreater(writer.committed, committed + 20, "the application waited")
        deployment.wan.heal()
        self.wait(lambda: self.age(deployment) < 3, 15, "the lag does not drain")
        self.check(deployment, writer)

    def test_a_wan_that_loses_every_packet_is_noticed_and_resumed(self):
        deployment = self.start()
        writer = workload.MixedWriter(deployment.source, pause=0.01).start()
        time.sleep(1)
        deployment.wan.drop()
        self.wait_noticed(deployment)
        deployment.wan.heal()
        self.wait(lambda: self.link(deployment, 0)["connected"], 15, "not connected again")
        self.check(deployment, writer)

    def test_a_middlebox_that_forgets_the_connections_is_noticed_and_resumed(self):
        deployment = self.start()
        writer = workload.MixedWriter(deployment.source, pause=0.01).start()
        time.sleep(1)
        deployment.wan.tell("swallow")
        self.wait_applied(deployment, NOTICED_SECONDS + 10)
        self.check(deployment, writer)

    def test_half_open_connections_are_noticed_and_resumed(self):
        deployment = self.start()
        writer = workload.MixedWriter(deployment.source, pause=0.01).start()
        time.sleep(1)
        deployment.wan.tell("half-open")
        self.wait_applied(deployment, NOTICED_SECONDS + 10)
        self.check(deployment, writer)


if __name__ == "__main__":
    preamble.main()
