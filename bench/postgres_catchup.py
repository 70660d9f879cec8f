#!/usr/bin/env python3
"""postgres-catchup: how fast a backlog is applied, against a native subscription.

The changes are made while both are held back (our capturing agent by SIGSTOP, the subscription
disabled); then each in turn is let go, and the time until its target shows the last change counts.
"""

import argparse
import sys

from field import Field, report, timed

TABLES = """
CREATE TABLE bulk (id bigint PRIMARY KEY, a integer, body text);
CREATE TABLE small (id bigint PRIMARY KEY, a integer, body text);
CREATE TABLE done (id bigint PRIMARY KEY);
"""
ROWS = "SELECT g, g % 1000, md5(g::text) FROM generate_series({}, {}) g"


def oltp(field, size, _number):
    field.source.program("pgbench", "-n", "-c", "4", "-t", str(size // 4), "-N", "app")


def bulk(field, size, number):
    first = number * 10_000_000
    field.source.sql("INSERT INTO bulk " + ROWS.format(first + 1, first + size))


def small(field, size, number):
    first = number * 10_000_000
    connection = field.source.connect()
    with connection.cursor() as cursor:
        for at in range(first, first + size, 1000):
            cursor.execute("INSERT INTO small " + ROWS.format(at + 1, at + 1000))
    connection.close()


# name: (what is done, its size, its size with --quick, unit)
CASES = {
    "oltp": (oltp, 40_000, 4_000, "transactions/s"),
    "bulk": (bulk, 1_000_000, 50_000, "rows/s"),
    "small": (small, 500_000, 50_000, "rows/s"),
}


def run_case(field, name, size, number):
    """Seconds of ours and of native for one backlog."""
    near = field.deployment.near.process
    near.pause()
    CASES[name][0](field, size, number)
    field.source.sql(f"INSERT INTO done VALUES ({number})")
    there = f"SELECT 1 FROM done WHERE id = {number}"

    def ours():
        near.resume()
        field.wait_row(field.ours, there)

    def native():
        field.peer.sql("ALTER SUBSCRIPTION native ENABLE")
        field.wait_row(field.peer, there)

    if number % 2:
        mine, theirs = timed(ours), timed(native)
    else:
        theirs, mine = timed(native), timed(ours)
    field.peer.sql("ALTER SUBSCRIPTION native DISABLE")
    return mine, theirs


def run(field, options):
    field.make(TABLES)
    field.make_pgbench()
    field.start_native()
    field.start_ours()
    number = 0
    for name in options.case or CASES:
        size = CASES[name][2 if options.quick else 1]
        ours, peer = [], []
        for _ in range(options.runs or (1 if options.quick else 5)):
            number += 1
            mine, theirs = run_case(field, name, size, number)
            ours.append(size / mine)
            peer.append(size / theirs)
        report(options, "postgres-catchup", name, ours, peer, CASES[name][3])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--case", choices=list(CASES), action="append")
    parser.add_argument("--runs", type=int)
    parser.add_argument("--rtt", default="0")
    parser.add_argument("--versions", default="15,15")
    options = parser.parse_args()
    versions = [int(version) for version in options.versions.split(",")]
    with Field("catchup", versions, rtt=options.rtt) as field:
        run(field, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
