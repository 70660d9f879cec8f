#!/usr/bin/env python3
"""memory: the most that each agent had resident while one transaction of 0.25, 1 and 4 GB went from
source to target, and while one row of 100 MB did. There is no peer: limits stand in its place."""

import argparse
import json
import pathlib
import sys

from field import Field

MIB = 1 << 20
TABLES = """
CREATE TABLE large (id bigint PRIMARY KEY, body text);
CREATE TABLE wide (id bigint PRIMARY KEY, body text);
"""
ROW_BYTES = 1000
WIDE_BYTES = 100_000_000
BASE_MAX, SPREAD_MAX = 150 * MIB, 10 * MIB
SIZES = {"0.25 GB": 250_000_000, "1 GB": 1_000_000_000, "4 GB": 4_000_000_000}
QUICK = {"5 MB": 5_000_000, "50 MB": 50_000_000}


class Watched:
    """The agents' peaks since the last reset, as the kernel counts them."""

    def __init__(self, agents):
        self.folders = {name: pathlib.Path(f"/proc/{a.process.pid}") for name, a in agents.items()}

    def reset(self):
        for folder in self.folders.values():
            (folder / "clear_refs").write_text("5")

    def peaks(self):
        found = {}
        for name, folder in self.folders.items():
            lines = (folder / "status").read_text().splitlines()
            line = next(line for line in lines if line.startswith("VmHWM:"))
            found[name] = int(line.split()[1]) * 1024
        return found


def write_large(field, size, number):
    """Short of 2 kB, so that nothing is compressed or moved out of the row."""
    first, rows = number * 10_000_000, size // ROW_BYTES
    field.source.sql(
        f"INSERT INTO large SELECT g, substr(repeat(md5(g::text), 31), 1, {ROW_BYTES - 8}) "
        f"FROM generate_series({first + 1}, {first + rows}) g"
    )
    return f"SELECT 1 FROM large WHERE id = {first + rows}"


def write_wide(field, number):
    field.source.sql(
        f"INSERT INTO wide SELECT {number}, string_agg(md5(g::text), '') "
        f"FROM generate_series(1, {WIDE_BYTES // 32}) g"
    )
    return f"SELECT 1 FROM wide WHERE id = {number}"


def show(options, name, peaks, limit):
    """ratio: how often the largest agent would fit into the limit."""
    most = max(peaks.values())
    line = {
        "bench": "memory",
        "case": name,
        "ours": round(most / MIB, 1),
        "agents": {agent: round(peak / MIB, 1) for agent, peak in peaks.items()},
        "peer": round(limit / MIB, 1),
        "unit": "MiB",
        "ratio": round(limit / most, 2),
        "runs": 1,
    }
    if options.json:
        print(json.dumps(line), flush=True)
        return
    each = ", ".join(f"{agent} {peak / MIB:.1f}" for agent, peak in peaks.items())
    print(f"memory {name}: {each} MiB; limit {limit / MIB:.0f} MiB", flush=True)


def run(field, options):
    field.make(TABLES)
    field.start_ours()
    watched = Watched(field.deployment.agents)
    sizes = QUICK if options.quick else SIZES
    field.wait_row(field.ours, write_large(field, min(sizes.values()), 0))  # buffers are made
    of_size = {}
    for number, (name, size) in enumerate(sizes.items(), 1):
        watched.reset()
        field.wait_row(field.ours, write_large(field, size, number), 1800)
        of_size[name] = watched.peaks()
        show(options, name, of_size[name], BASE_MAX)
        for server in (field.source, field.ours):
            server.sql("TRUNCATE large" if server is field.source else "CHECKPOINT")
    spread = {
        agent: max(peaks[agent] for peaks in of_size.values())
        - min(peaks[agent] for peaks in of_size.values())
        for agent in watched.folders
    }
    show(options, "spread over the sizes", spread, SPREAD_MAX)
    watched.reset()
    field.wait_row(field.ours, write_wide(field, 1), 600)
    show(options, "row of 100 MB", watched.peaks(), BASE_MAX + 3 * WIDE_BYTES)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with Field("memory", stream={"journal": {"keep": "0s"}}) as field:
        run(field, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
