"""What the benchmarks with real servers share: native replication and Farshore side by side."""

import contextlib
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

# A table without a key is replicated natively too, when rows are only added.
STREAM = {"tables": [{"match": "public.*", "identity": "full"}]}
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

    def __init__(self, name, versions=(15, 15), rtt="0", rate="off", stream=None):
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
            stream={**STREAM, **(stream or {})},
        )

    def _server(self, role, version):
        port = self.ports.take()
        return Postgres(role, version, self.folder, port, case.templates(), SETTINGS).create()

    def make(self, sql):
        for server in (self.source, self.ours, self.peer):
            server.sql(sql)

    def flush_at_source(self):
        """Commits of new sessions reach the source's disk, each by itself."""
        self.source.sql("ALTER SYSTEM SET fsync = on")
        self.source.sql("ALTER SYSTEM SET synchronous_commit = on")
        self.source.sql("SELECT pg_reload_conf()")

    def start_ours(self):
        self.deployment.start()

    def start_native(self, port=None):
        """`port`: where the peer finds the source, when not at its own."""
        dsn = f"{self.source.dsn()} port={port or self.source.port}"
        self.source.sql("CREATE PUBLICATION native FOR ALL TABLES")
        self.source.sql("SELECT pg_create_logical_replication_slot('native', 'pgoutput')")
        self.peer.sql(
            f"CREATE SUBSCRIPTION native CONNECTION '{dsn}' PUBLICATION native WITH "
            "(create_slot = false, slot_name = 'native', copy_data = false, binary = true, "
            "streaming = on, synchronous_commit = off, enabled = false)"
        )

    def make_pgbench(self, scale=10):
        """pgbench's tables, all published, the same rows in source and peer: Farshore copies its
        own."""
        self.source.program("pgbench", "-i", "-q", "-s", scale, "app")
        for server in (self.ours, self.peer):
            server.program("pgbench", "-i", "-q", "-I", "dtp", "-s", scale, "app")
        for server in (self.source, self.ours, self.peer):
            server.sql("ALTER TABLE pgbench_history REPLICA IDENTITY FULL")
        path = self.folder / "rows"
        for table in ("pgbench_branches", "pgbench_tellers", "pgbench_accounts"):
            with self.source.connect().cursor() as cursor, open(path, "w") as out:
                cursor.copy_expert(f"COPY {table} TO STDOUT", out)
            with self.peer.connect().cursor() as cursor, open(path) as rows:
                cursor.copy_expert(f"COPY {table} FROM STDIN", rows)

    def wait_row(self, server, sql, seconds=600):
        """Asks over one connection: a new one for each question would cost more than it sees."""
        with contextlib.closing(server.connect()) as connection, connection.cursor() as cursor:

            def there():
                cursor.execute(sql)
                return cursor.fetchone()

            process.wait_until(there, seconds, f"never true: {sql}", every=0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        process.kill_all()
        shutil.rmtree(self.folder, ignore_errors=True)


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


def cpu_seconds(pid):
    """Of a process and its threads so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began
