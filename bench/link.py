#!/usr/bin/env python3
"""link: bytes that cross the WAN for the same work, ours against a native subscription's, both
through a proxy that counts: catching up with pgbench transactions, and live at 1,000 of them a
second, each flushed by its commit. Then goodput with the kernel's own round trip times
(bench/link_goodput_bench.cpp)."""

import argparse
import os
import pathlib
import subprocess
import sys

from field import Field, report

from lab import case
from lab.wan import Wan

RATE = 1000


class Counted:
    """What each side's WAN carried since the last question."""

    def __init__(self, ours, peer):
        self.wans = (ours, peer)
        self.seen = self._totals()

    def _totals(self):
        found = []
        for wan in self.wans:
            stats = wan.stats()
            found.append(stats["to_far_bytes"] + stats["to_near_bytes"])
        return found

    def take(self):
        before, self.seen = self.seen, self._totals()
        return [now - then for now, then in zip(self.seen, before)]


def pgbench(field, *words):
    field.source.program("pgbench", "-n", "-c", "4", "-N", *words, "app")


def wait_for(field, number, servers):
    field.source.sql(f"INSERT INTO done VALUES ({number})")
    for server in servers:
        field.wait_row(server, f"SELECT 1 FROM done WHERE id = {number}")


def catch_up(field, counted, transactions, number):
    near = field.deployment.near.process
    near.pause()
    pgbench(field, "-t", transactions // 4)
    counted.take()
    near.resume()
    field.peer.sql("ALTER SUBSCRIPTION native ENABLE")
    wait_for(field, number, (field.ours, field.peer))
    return counted.take()


def live(field, counted, seconds, number):
    field.flush_at_source()
    wait_for(field, number, (field.ours, field.peer))
    counted.take()
    pgbench(field, "-R", RATE, "-T", seconds)
    wait_for(field, number + 1, (field.ours, field.peer))
    return counted.take()


def per_byte(options, name, transactions, wire):
    report(options, "link", name, *[[transactions / (bytes_ / 1000)] for bytes_ in wire],
           "transactions/kB")


def run(field, options):
    field.make("CREATE TABLE done (id bigint PRIMARY KEY)")
    field.make_pgbench()
    to_source = field.ports.take()
    folder = field.folder / "wan-native"
    folder.mkdir()
    wan = Wan(
        case.wan_program(),
        folder,
        field.ports.take(),
        [(to_source, field.source.port)],
    ).start()
    field.start_native(port=to_source)
    field.start_ours()
    counted = Counted(field.deployment.wan, wan)
    transactions = 4_000 if options.quick else 40_000
    per_byte(options, "catching up, oltp", transactions, catch_up(field, counted, transactions, 1))
    seconds = 5 if options.quick else 20
    wire = live(field, counted, seconds, 2)
    per_byte(options, f"live, {RATE:,} transactions/s", RATE * seconds, wire)


def goodput(options):
    program = os.environ.get("FARSHORE_LINK_GOODPUT")
    words = [program or pathlib.Path("build/release/bench/link_goodput_bench")]
    words += [word for word in ("--quick", "--json") if getattr(options, word[2:])]
    subprocess.run(words, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with Field("link") as field:
        run(field, options)
    goodput(options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
