#!/usr/bin/python3
"""A region is lost with all that had not arrived: the other one still says how much that was."""

import shutil
import struct
import time

import preamble
from lab.case import LabTest

ROWS = 800


class Reader:
    """Little-endian numbers and texts one behind the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self, form):
        (value,) = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return value

    def raw(self, size):
        self.at += size
        return self.data[self.at - size : self.at]

    def text(self):
        return self.raw(self.number("H")).decode()


def decode_totals(data):
    """docs/formats/totals.md: by the stream's name."""
    reader = Reader(data[:-4])
    assert reader.number("H") == 1, "another version"
    streams = {}
    for _ in range(reader.number("H")):
        reader.raw(16)
        name = reader.text()
        place = f"{reader.number('Q')}:{reader.number('Q')}"
        position = reader.text()
        commit_time = reader.number("q")
        names = ("transactions", "changes", "bytes", "open_transactions")
        counts = {name: reader.number("Q") for name in names}
        streams[name] = {
            "place": place,
            "position": position,
            "commit_time": commit_time,
            **counts,
        }
    assert reader.at == len(data) - 4, "bytes are left"
    return streams


class LossTest(LabTest):
    expected_in_log = (r" link\.", r" stream\.retry ", r" heartbeat\.", r" journal\.tail_cut ")

    def kept(self, deployment):
        """What the far region keeps of the near one's totals."""
        path = deployment.far.data / f"totals-{deployment.regions[0].name}"
        return decode_totals(path.read_bytes()).get("app") if path.exists() else None

    def captured(self, deployment):
        """The same as the near region itself says it."""
        view = deployment.source_view()
        totals = view["capture"]["totals"]
        counts = {name: totals[name] for name in ("transactions", "changes", "bytes")}
        return {"place": view["journal"]["durable_place"], **counts}

    def received(self, deployment):
        return deployment.leg()["totals"]["shipped"]

    def write_more_than_arrives(self, source):
        """One row a transaction, of about 10 KiB that no compression makes small."""
        source.sql(
            "DO $$ BEGIN FOR i IN 1..%s LOOP"
            " INSERT INTO public.rows SELECT i, string_agg(md5(random()::text), '')"
            " FROM generate_series(1, 600); COMMIT; END LOOP; END $$",
            (ROWS,),
        )

    def test_what_was_captured_and_did_not_arrive_is_known(self):
        source, target = self.postgres("source"), self.postgres("target")
        source.sql("CREATE TABLE public.rows (id integer PRIMARY KEY, body text)")
        self.make_marks(source)
        deployment = self.deploy(source, target, rtt="10ms", rate="1Mbit")
        self.wait_applied(deployment)
        self.write_more_than_arrives(source)

        def all_is_told():
            kept, captured = self.kept(deployment), self.captured(deployment)
            return kept and ROWS < captured["changes"] == kept["changes"]

        self.wait(
            all_is_told,
            60,  # half of what the way takes for all of it
            lambda: f"kept {self.kept(deployment)}, captured {self.captured(deployment)}",
        )
        deployment.wan.cut()
        time.sleep(2)  # what was heard is written once a second
        captured, kept = self.captured(deployment), self.kept(deployment)
        for name in "transactions", "changes", "bytes":
            self.assertEqual(kept[name], captured[name], name)
        rows = source.value("SELECT count(*) FROM public.rows")
        newest = source.value("SELECT pg_current_wal_lsn() >= %s::pg_lsn", (kept["position"],))
        self.assertTrue(newest, kept)
        source.kill()
        deployment.near.kill()
        shutil.rmtree(deployment.near.data)
        shutil.rmtree(source.data)
        deployment.far.restart_after_kill()
        self.expect_the_rest_is_lost(deployment, kept, rows)

    def expect_the_rest_is_lost(self, deployment, kept, rows):
        """The difference of what was captured and received is the rows that are not there."""
        target = deployment.target

        def applied():
            leg = deployment.try_leg()
            return leg and leg["applied_place"] == leg["durable_place"] != "" and leg

        self.wait(applied, 60, lambda: f"not all is applied: {deployment.try_leg()}")
        self.assertEqual(self.kept(deployment), kept)
        lost = kept["changes"] - self.received(deployment)["changes"]
        self.assertGreater(lost, 10)
        self.assertEqual(rows - target.value("SELECT count(*) FROM public.rows"), lost)


if __name__ == "__main__":
    preamble.main()
