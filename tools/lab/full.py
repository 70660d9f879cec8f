"""FullTest: a stream whose near journal has little room, in a server that soon ends a connection
that is silent."""

import time

from lab import workload
from lab.case import LabTest

SENDER_TIMEOUT_SECONDS = 3


class FullTest(LabTest):
    expected_in_log = (
        r" link\.",
        r" stream\.retry ",
        r" stream\.state .* capture holds",
        r" stream\.state .* the far journal takes no more",
        r" journal\.(full|keep_shortened|upkeep_failed) ",
        r" source\.released_",
    )

    def start(
        self, targets=1, small_disk=None, settings=None, stream_in=None, wait=True, **stream
    ):
        timeout = f"{SENDER_TIMEOUT_SECONDS}s"
        source = self.postgres("source", wal_sender_timeout=timeout, **(settings or {}))
        workload.make_tables(source)
        source.sql("CREATE TABLE public.bulk (id bigint PRIMARY KEY, body text)")
        self.make_marks(source)
        self.written = 0
        others = [self.postgres(f"target{number}") for number in range(targets)]
        deployment = self.deploy(source, *others, start=False, stream=stream, stream_in=stream_in)
        if small_disk:
            deployment.small_disks["r1"] = small_disk
        return deployment.start(wait=wait)

    def write_bulk(self, source, megabytes):
        """About so much of log, a megabyte in each transaction."""
        for _ in range(megabytes):
            source.sql(
                "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
                "FROM generate_series(%s, %s) i",
                (self.written, self.written + 999),
            )
            self.written += 1000

    def walsender(self, deployment):
        """Process id of our walsender: the same as long as the server has not ended it."""
        return deployment.source.value(
            "SELECT active_pid FROM pg_replication_slots WHERE slot_name LIKE 'farshore%%'"
        )

    def expect_kept_alive(self, deployment, writer):
        """For longer than the server waits for a sign of life."""
        walsender, committed = self.walsender(deployment), writer.committed
        self.assertTrue(walsender)
        time.sleep(1.5 * SENDER_TIMEOUT_SECONDS)
        self.assertEqual(self.walsender(deployment), walsender)
        self.assertGreater(writer.committed, committed + 5, "the application waits")
        self.assertNotIn("replication timeout", deployment.source.process.output())
        return walsender

    def finish(self, deployment, writer):
        self.wait_applied(deployment)
        self.assertGreater(writer.stop(), 20)
        self.wait_applied(deployment)
        self.expect_equal(deployment.source, deployment.target)
