"""What the benchmarks with real servers share: native replication and Farshore side by side."""

import json
import os
import pathlib
import shutil
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from lab import case, process  # noqa: E402
from lab.farshore import Deployment  # noqa: E402
from lab.ports import Ports  # noqa: E402
from lab.postgres import Postgres  # noqa: E402

SETTINGS = {
    "synchronous_commit": "off",
    "shared_buffers": "512MB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "30min",
    "autovacuum": "off",
    "wal_sender_timeout": "300s",
}


class Field:
    """One source, one target for Farshore, one target for the peer; the same tables in all."""

    def __init__(self, name, versions=(15, 15), rtt="0", rate="off", **options):
        process.clean_up_at_exit()
        self.folder = case.work_folder() / name
        self.folder.mkdir(exist_ok=True)
        self.folder.chmod(0o755)
        self.ports = Ports()
        self.source = self._server("source", versions[0])
        self.ours = self._server("ours", versions[1])
        self.peer = self._server("peer", versions[1])
        self.deployment = Deployment(
            case.farshore_program(),
            case.wan_program(),
            self.folder,
            self.ports,
            [("r1", self.source), ("r2", self.ours)],
            rtt=rtt,
            rate=rate,
            **options,
        )

    def _server(self, role, version):
        port = self.ports.take()
        return Postgres(role, version, self.folder, port, case.templates(), SETTINGS).create()

    def make(self, sql):
        for server in (self.source, self.ours, self.peer):
            server.sql(sql)

    def start_ours(self):
        self.deployment.start()

    def start_native(self):
        self.source.sql("CREATE PUBLICATION native FOR ALL TABLES")
        self.source.sql("SELECT pg_create_logical_replication_slot('native', 'pgoutput')")
        self.peer.sql(
            f"CREATE SUBSCRIPTION native CONNECTION '{self.source.dsn()}' PUBLICATION native WITH "
            "(create_slot = false, slot_name = 'native', copy_data = false, binary = true, "
            "streaming = on, synchronous_commit = off, enabled = false)"
        )

    def wait_row(self, server, sql, seconds=600):
        process.wait_until(lambda: server.value(sql), seconds, f"never true: {sql}", every=0.02)

    def close(self):
        process.kill_all()
        for server in (self.source, self.ours, self.peer):
            shutil.rmtree(server.data, ignore_errors=True)


def report(options, bench, name, ours, peer, unit):
    """ours and peer: figures of which more is better. ratio > 1: we are better."""
    mine, theirs = statistics.median(ours), statistics.median(peer)
    line = {
        "bench": bench,
        "case": name,
        "ours": round(mine, 3),
        "peer": round(theirs, 3),
        "unit": unit,
        "ratio": round(mine / theirs, 2),
        "runs": len(ours),
    }
    if options.json:
        print(json.dumps(line), flush=True)
    else:
        print(
            f"{bench} {name}: ours {mine:,.0f} {unit}, peer {theirs:,.0f} {unit}, "
            f"ratio {mine / theirs:.2f} (median of {len(ours)})",
            flush=True,
        )


def timed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began
