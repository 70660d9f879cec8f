#!/usr/bin/python3
"""Two streams of one source database between the same two regions: one heartbeat writer and one
link serve both, and one that stands still with all its room full never makes the other wait."""

import math
import struct
import threading
import time

import preamble
from lab import workload
from lab.case import LabTest

BEATS = (
    "SELECT data FROM pg_logical_slot_get_binary_changes('beats', NULL, NULL, 'proto_version', '1',"
    " 'publication_names', 'no_tables', 'messages', 'true')"
)
BEFORE_2000 = 946_684_800  # seconds from 1970, where metrics count from, to where the server does
LAG_MAX_SECONDS = 5
STILL_SECONDS = 5


def lags_of(agent, stream):
    """Ages by kind, NaN where they are unknown."""
    found = agent.metric(f'farshore_lag_seconds{{stream="{stream}"')
    return {sample.split('kind="')[1].split('"')[0]: value for sample, value in found.items()}


class Watch:
    """Samples how far a stream is behind, as the target's agent says it, until stopped."""

    def __init__(self, agent, stream):
        self.agent, self.stream = agent, stream
        self.durability, self.apply = [], []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def stop(self):
        self.stopping.set()
        self.thread.join(20)

    def _run(self):
        while not self.stopping.wait(0.2):
            lags = lags_of(self.agent, self.stream)
            self.durability.append(lags["durability"])
            self.apply.append(lags["apply"])


class TwoStreamsTest(LabTest):
    expected_in_log = (
        r" stream\.state .* capture holds",
        r" stream\.state .* the far journal takes no more",
        r" journal\.full ",
        r" source\.released_",
        r" stream\.removed ",
    )

    def start(self):
        source, target = self.postgres("source"), self.postgres("target")
        workload.make_tables(source)
        self.make_marks(source)
        # Of a type that tables of the other stream have too: both make what their target lacks.
        source.sql(
            "CREATE TABLE public.bulk (id bigint PRIMARY KEY, body text, state mood DEFAULT 'calm')"
        )
        source.sql("CREATE PUBLICATION no_tables")
        ends = {"from": "app-r1", "to": ["app-r2"]}
        room = {"max": "12MiB", "segment": "1MiB", "keep": "0s", "free_min": "0B"}
        bulk = [{"match": "public.bulk"}]
        rest = [{"match": "public.bulk", "exclude": True}, {"match": "*.*"}]
        streams = {
            # The first in the file: its source is the one that heartbeats are set up for.
            "slow": {**ends, "tables": bulk, "journal": room},
            "busy": {**ends, "tables": rest, "journal": room},
        }
        deployment = self.deploy(source, target, rtt="20ms", wait=False, streams=streams)
        for stream in streams:
            deployment.wait_for_state("streaming", 60, stream=stream)
        source.sql("SELECT pg_create_logical_replication_slot('beats', 'pgoutput')")
        return deployment

    def is_known(self, deployment, stream):
        """What the stream's lag is."""
        lags = lags_of(deployment.far, stream)
        return not any(math.isnan(lags[kind]) for kind in ("durability", "apply"))

    def beats(self, source):
        """Commit times, as the server counts them, of the heartbeats since this was last asked."""
        times, begun = [], None
        for (message,) in source.sql(BEATS):
            data = bytes(message)
            if data[:1] == b"B":
                begun = struct.unpack(">q", data[9:17])[0] / 1e6
            elif data[:1] == b"M" and b"farshore.heartbeat\0" in data:
                times.append(begun)
        return times

    def expect_one_a_second(self, times):
        gaps = [after - before for before, after in zip(times, times[1:])]
        self.assertGreater(min(gaps), 0.9, gaps)  # those of a second writer would lie between
        self.assertLess(max(gaps), 4, gaps)

    def expect_heard_by_both(self, deployment, source):
        """Each stream's newest heartbeat is one of those that were written."""
        heard = deployment.near.metric("farshore_heartbeat_last_timestamp_seconds")
        self.assertEqual(len(heard), 2, heard)
        times = self.beats(source)
        self.expect_one_a_second(times)
        for stream, at in heard.items():
            nearest = min(abs(at - BEFORE_2000 - time_) for time_ in times)
            self.assertLess(nearest, 0.01, f"{stream} {at} is none of {times}")

    def expect_one_link(self, deployment):
        for agent in deployment.agents.values():
            self.assertEqual(agent.process.output().count(" link.connected "), 1)
            peers = agent.metric("farshore_connected")
            self.assertEqual(list(peers.values()), [1], peers)

        def all_are_its():
            pool = deployment.near.metric("farshore_link_connections")
            return list(pool.values()) == [deployment.wan.stats()["connections"]]

        self.wait(all_are_its, 10, "connections cross the WAN that are not of the one session")

    def fill(self, deployment):
        """Writes for the slow stream until its journals in both regions, and what lies between
        them, are full: capture holds."""
        rows = 0

        def holds():
            nonlocal rows
            deployment.source.sql(
                "INSERT INTO public.bulk SELECT i, repeat(md5(i::text), 30) "
                "FROM generate_series(%s, %s) i",
                (rows, rows + 3999),
            )
            rows += 4000
            return deployment.source_view("slow")["capture"]["state"] == "degraded"

        self.wait(holds, 60, "capture of the slow stream does not hold")
        self.assertIn(" journal.full slow/app-r2", deployment.far.process.output())
        return rows

    def expect_other_goes_on(self, deployment):
        """While the slow one stands still."""
        held = deployment.source_view("slow")["capture"]["totals"]
        ends = time.monotonic() + STILL_SECONDS
        while time.monotonic() < ends:
            self.wait_applied(deployment, LAG_MAX_SECONDS)
        self.assertEqual(deployment.source_view("slow")["capture"]["totals"], held)
        self.assertEqual(deployment.leg(stream="busy")["state"], "streaming")
        self.assertEqual(deployment.source_view("busy")["capture"]["state"], "streaming")
        for kind in "durability", "apply":
            self.assertGreater(lags_of(deployment.far, "slow")[kind], STILL_SECONDS, kind)

    def remove_slow(self, deployment):
        for region in deployment.regions:
            deployment.farshore("stream", "remove", "slow", "--yes", region=region)
        slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'farshore%%'"
        self.assertEqual(deployment.source.value(slots), 1)

    def test_two_share_heartbeat_and_link_and_neither_waits_for_the_other(self):
        deployment = self.start()
        source, target = deployment.source, deployment.target
        writer = workload.MixedWriter(source, pause=0.01).start()
        self.wait_applied(deployment)
        for stream in deployment.streams:
            self.wait(lambda stream=stream: self.is_known(deployment, stream), 10, "no lag")
        blocker = target.connect()
        blocker.autocommit = False
        blocker.cursor().execute("LOCK TABLE public.bulk IN ACCESS EXCLUSIVE MODE")
        watch = Watch(deployment.far, "busy")
        rows = self.fill(deployment)
        self.expect_other_goes_on(deployment)
        watch.stop()
        self.assertGreater(len(watch.apply), STILL_SECONDS)
        for lag in watch.durability + watch.apply:
            self.assertLess(lag, LAG_MAX_SECONDS)  # NaN is not
        self.expect_one_link(deployment)
        self.expect_heard_by_both(deployment, source)

        blocker.close()
        self.wait(
            lambda: target.value("SELECT count(*) FROM public.bulk") == rows,
            60,
            lambda: f"the slow one does not catch up: {deployment.try_leg(stream='slow')}",
        )
        self.remove_slow(deployment)
        self.beats(source)
        times = []
        self.wait(lambda: times.extend(self.beats(source)) or len(times) > 2, 15, "no heartbeats")
        self.expect_one_a_second(times)
        self.wait_applied(deployment)
        self.assertLess(lags_of(deployment.far, "busy")["apply"], LAG_MAX_SECONDS)
        self.assertGreater(writer.stop(), 50)
        self.wait_applied(deployment)
        self.assertGreater(self.expect_equal(source, target), rows)


if __name__ == "__main__":
    preamble.main()
