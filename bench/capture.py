#!/usr/bin/env python3
"""capture: wall and CPU time of taking changes into the near journal, synced, against
pg_recvlogical, which writes the same messages to a file. The far region is gone meanwhile: nothing
is shipped.

The changes are made while our agent is stopped and pg_recvlogical does not run; then each in turn.
"""

import argparse
import contextlib
import os
import subprocess
import sys
import time

from field import Field, cpu_seconds, report

from lab.postgres import SUPERUSER, programs

TABLE = "CREATE TABLE rows (id bigint PRIMARY KEY, a integer, body text)"
OURS = "SELECT write_lsn FROM pg_stat_replication WHERE application_name LIKE 'farshore%'"


def rows(field, size, number):
    first = number * 10_000_000
    with contextlib.closing(field.source.connect()) as connection:
        with connection.cursor() as cursor:
            for at in range(first, first + size, 1000):
                cursor.execute(
                    "INSERT INTO rows SELECT g, g % 1000, md5(g::text) "
                    f"FROM generate_series({at + 1}, {at + 1000}) g"
                )


def oltp(field, size, _number):
    field.source.program("pgbench", "-n", "-c", "4", "-t", str(size // 8), "-N", "app")


# name: (how they are made, changes, changes with --quick)
CASES = {"rows": (rows, 1_000_000, 100_000), "oltp": (oltp, 80_000, 8_000)}


class Receiver:
    """pg_recvlogical with a slot of its own that asks for what ours asks for."""

    def __init__(self, field):
        self.field = field
        self.file = field.folder / "received"
        self.publication = field.source.value(
            "SELECT pubname FROM pg_publication WHERE pubname LIKE 'farshore%'"
        )
        field.source.sql("SELECT pg_create_logical_replication_slot('peer', 'pgoutput')")

    def receive(self, end):
        """CPU seconds of the run up to `end`."""
        options = ["proto_version=3", f'publication_names="{self.publication}"']
        options += ["messages=true", "streaming=on"]
        words = [programs(15) / "pg_recvlogical", "-h", "127.0.0.1", "-U", SUPERUSER, "-d", "app"]
        words += ["-p", self.field.source.port, "-S", "peer", "--start", "--no-loop"]
        words += ["--endpos", end, "-f", self.file]
        for option in options:
            words += ["-o", option]
        child = subprocess.Popen([str(word) for word in words])
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            raise SystemExit(f"pg_recvlogical ended with {child.returncode}")
        self.file.unlink()
        return used.ru_utime + used.ru_stime


def run_case(field, receiver, name, size, number):
    """(wall, CPU) of ours and of pg_recvlogical."""
    near = field.deployment.near.process
    near.pause()
    CASES[name][0](field, size, number)
    field.source.sql(f"INSERT INTO rows VALUES (-{number}, 0, 'end')")
    end = field.source.value("SELECT pg_current_wal_insert_lsn()")

    def ours():
        before = cpu_seconds(near.pid)
        near.resume()
        field.wait_row(field.source, f"SELECT 1 FROM ({OURS}) o WHERE write_lsn >= '{end}'")
        return cpu_seconds(near.pid) - before

    def both(action):
        began = time.monotonic()
        cpu = action()
        return time.monotonic() - began, cpu

    def peer():
        return receiver.receive(end)

    if number % 2:
        mine, theirs = both(ours), both(peer)
    else:
        theirs, mine = both(peer), both(ours)
    return mine, theirs


def run(field, options):
    field.source.sql(TABLE)
    field.source.program("pgbench", "-i", "-q", "-s", "10", "app")
    field.source.sql("ALTER TABLE pgbench_history REPLICA IDENTITY FULL")
    field.start_ours()
    field.deployment.far.stop()
    field.deployment.wan.stop()
    receiver = Receiver(field)
    number = 0
    for name, (_, full, quick) in CASES.items():
        size = quick if options.quick else full
        walls, cpus = ([], []), ([], [])
        for _ in range(options.runs or (1 if options.quick else 5)):
            number += 1
            for i, (wall, cpu) in enumerate(run_case(field, receiver, name, size, number)):
                walls[i].append(size / wall)
                cpus[i].append(size / cpu)
        report(options, "capture", f"{name}, wall", *walls, "changes/s")
        report(options, "capture", f"{name}, CPU", *cpus, "changes/CPU s")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--runs", type=int)
    options = parser.parse_args()
    with Field("capture") as field:
        run(field, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
