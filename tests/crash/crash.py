#!/usr/bin/env python3
"""Real servers, real kills, every row compared.

Each round writes at least --transactions transactions through two writers while faults strike at
random moments: kill -9 of either agent or database, WAN cuts, swallowed packets, SIGSTOP. Ids that
the source acknowledged are kept outside, in this process. Then everything is healed, the target
must catch up, every table is compared row by row, and every id that the round acknowledged must be
in both ledgers. Now and then all that is older than the round before is deleted. The first copy of
the tables happens under the same load. In the end a row is taken away in the target behind our
back: the leg must stop at its next change. Last line: faults, transactions, rows compared (in all
rounds), differences.

--unsynced: the agents run on disks that lose what was not synced when they are killed (unsynced.c).

--region-kills N: N times the whole primary region is killed (database, agent, disks) under
remote_apply load; every commit that was acknowledged must be in the target.
"""

import argparse
import collections
import pathlib
import random
import shutil
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import psycopg2  # noqa: E402

from lab import case, compare, process  # noqa: E402
from lab.farshore import Deployment  # noqa: E402
from lab.ports import Ports  # noqa: E402
from lab.postgres import Postgres  # noqa: E402
from unsynced import UnsyncedDisk  # noqa: E402

WRITERS = 2
ROUND_IDS = 10_000_000  # from one round's first id to the next one's
SETTINGS = {"logical_decoding_work_mem": "64kB", "max_replication_slots": "20"}


class Writer(threading.Thread):
    """Commits steps until told to stop. `acknowledged` holds the ids whose commit was answered."""

    def __init__(self, number, server, first, seed, level="local"):
        super().__init__(daemon=True)
        self.number, self.server, self.level = number, server, level
        self.random = random.Random(seed)
        self.next_id = first
        self.acknowledged = []
        self.refused = 0
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                self._session()
            except (psycopg2.DataError, psycopg2.ProgrammingError):
                raise  # a fault of the test's own statements
            except psycopg2.Error:
                time.sleep(0.1)  # the server is down: the application connects again

    def _session(self):
        connection = self.server.connect()
        with connection.cursor() as cursor:
            cursor.execute(f"SET synchronous_commit = {self.level}")
            while not self.stopping.is_set():
                self.next_id += WRITERS
                try:
                    self._step(cursor)
                except psycopg2.errors.IntegrityConstraintViolation:
                    self.refused += 1  # an application's own conflict: rolled back
        connection.close()

    def _step(self, cursor):
        chance = self.random.random()
        if chance < 0.0003:
            oldest = (self.next_id // ROUND_IDS - 1) * ROUND_IDS  # of the round before
            cursor.execute(
                "SELECT crash_retain(%s, %s, %s, %s)",
                (self.next_id, self.number, WRITERS, oldest),
            )
        elif chance < 0.002:
            cursor.execute(
                "SELECT crash_large(%s, %s, %s)",
                (self.next_id, self.number, self.random.choice((500, 5000))),
            )
        elif chance < 0.004:
            cursor.execute(
                "BEGIN; INSERT INTO ledger VALUES (%s, %s); TRUNCATE t19, t20; COMMIT",
                (self.next_id, self.number),
            )
        elif chance < 0.02:
            cursor.execute(
                "BEGIN; SELECT crash_step(%s, %s, %s); ROLLBACK",
                (self.next_id, self.number, WRITERS),
            )
            return
        else:
            cursor.execute("SELECT crash_step(%s, %s, %s)", (self.next_id, self.number, WRITERS))
        self.acknowledged.append(self.next_id)

    def stop(self):
        self.stopping.set()
        self.join(60)


class Field:
    """Two servers, a WAN and two agents, and what can be done to them."""

    def __init__(self, folder, versions, disk=None, **options):
        self.folder, self.disk = folder, disk
        self.ports = ports = Ports()  # ours as long as it lives
        self.servers = [
            Postgres(name, version, folder, ports.take(), case.templates(), SETTINGS).create()
            for name, version in zip(("near", "far"), versions)
        ]
        self.source, self.target = self.servers
        self.source.sql((ROOT / "tests/crash/tables.sql").read_text())
        self.deployment = Deployment(
            case.farshore_program(),
            case.wan_program(),
            folder,
            ports,
            [("r1", self.source), ("r2", self.target)],
            stream={"tables": [{"match": "*.*", "identity": "full"}]},
            environment=disk.environment() if disk else None,
            **options,
        )
        self.counts = collections.Counter()

    def start(self):
        self.deployment.start()

    def faults(self):
        d = self.deployment
        return {
            "kill near agent": lambda r: self._kill_agent(d.near, r),
            "kill far agent": lambda r: self._kill_agent(d.far, r),
            "kill source": lambda r: self._kill_server(self.source, r),
            "kill target": lambda r: self._kill_server(self.target, r),
            "cut WAN": lambda r: self._wan(d.wan.cut, r),
            "swallow WAN": lambda r: self._wan(d.wan.drop, r),
            "stop near agent": lambda r: self._pause(d.near, r),
            "stop far agent": lambda r: self._pause(d.far, r),
        }

    def strike(self, name, chance):
        self.faults()[name](chance)
        self.counts[name] += 1

    def _kill_agent(self, agent, chance):
        pid = agent.process.pid
        agent.kill()
        if self.disk:
            self.disk.cut_power(pid)
        time.sleep(chance.uniform(0, 1.5))
        agent.start()

    def _kill_server(self, server, chance):
        server.kill()
        time.sleep(chance.uniform(0, 1))
        server.start()

    def _wan(self, fault, chance):
        fault()
        time.sleep(chance.uniform(0.2, 3))
        self.deployment.wan.heal()

    def _pause(self, agent, chance):
        agent.process.pause()
        time.sleep(chance.uniform(0.2, 3))
        agent.process.resume()

    def close(self):
        process.kill_all()
        shutil.rmtree(self.folder, ignore_errors=True)


def state_of(field):
    leg = field.deployment.try_leg()
    return leg["state"] if leg else "unknown"


def wait_caught_up(field, number, seconds):
    """Until a row committed now is in the target: so is all that was before it."""
    field.source.sql("INSERT INTO ledger VALUES (%s, -1)", (number,))

    def there():
        if field.target.value("SELECT 1 FROM ledger WHERE id = %s", (number,)):
            return True
        if state_of(field) == "failed":
            raise process.Failed(f"the leg has failed: {field.deployment.try_leg()}")
        return False

    process.wait_until(
        there,
        seconds,
        lambda: f"the target does not catch up: {field.deployment.try_leg()}",
        every=0.3,
    )


def expect_lost_row_noticed(field, number):
    """A row that the target has lost: its next change touches none, which must stop the leg."""
    field.source.sql("INSERT INTO ledger VALUES (%s, -1)", (number,))
    wait_caught_up(field, number + 1, 60)
    field.target.sql("DELETE FROM ledger WHERE id = %s", (number,))
    field.source.sql("UPDATE ledger SET writer = -2 WHERE id = %s", (number,))
    process.wait_until(
        lambda: state_of(field) == "failed",
        30,
        lambda: f"a change of a row that the target has lost passed: {field.deployment.try_leg()}",
    )


def write_while(field, seed, action):
    """Does it under load; the ids that were acknowledged meanwhile."""
    writers = [Writer(n, field.source, n, seed + n) for n in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        action()
    finally:
        for writer in writers:
            writer.stop()
    return [number for writer in writers for number in writer.acknowledged]


def missing_ids(server, ids):
    oldest = min(ids, default=0)
    there = {row[0] for row in server.sql("SELECT id FROM ledger WHERE id >= %s", (oldest,))}
    return [number for number in ids if number not in there]


class Round:
    def __init__(self, field, number, options):
        self.field, self.number, self.options = field, number, options
        self.chance = random.Random(options.seed * 1000 + number)

    def run(self):
        """(faults, transactions, rows, differences)"""
        first = self.number * ROUND_IDS
        writers = [
            Writer(n, self.field.source, first + n, self.options.seed + self.number * 10 + n)
            for n in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        faults = self._strike_while_written(writers)
        for writer in writers:
            writer.stop()
        acknowledged = [number for writer in writers for number in writer.acknowledged]
        wait_caught_up(self.field, first + ROUND_IDS - 1, 180)
        rows, differences = self._compare(acknowledged)
        return faults, len(acknowledged), rows, differences

    def _strike_while_written(self, writers):
        names = list(self.field.faults())
        if self.field.disk:  # what is unsynced is lost with the agent
            names += ["kill near agent", "kill far agent"] * 4
        faults, deadline = 0, time.monotonic() + self.options.round_seconds_max
        while time.monotonic() < deadline:
            done = sum(len(writer.acknowledged) for writer in writers)
            if done >= self.options.transactions and faults >= 3:
                return faults
            time.sleep(self.chance.uniform(0.3, 2.5))
            self.field.strike(self.chance.choice(names), self.chance)
            faults += 1
        raise process.Failed(
            f"round {self.number}: {done} of {self.options.transactions} transactions in "
            f"{self.options.round_seconds_max} s"
        )

    def _compare(self, acknowledged):
        rows = differences = 0
        for table in compare.compare(self.field.source, self.field.target):
            rows += table.rows
            differences += table.differences
            if table.differences:
                print(f"  {table.table}: {table.differences} differences: {table.shown}")
        for server in self.field.servers:
            lost = missing_ids(server, acknowledged)
            differences += len(lost)
            if lost:
                print(f"  {server.name}: {len(lost)} acknowledged ids are missing: {lost[:10]}")
        return rows, differences


def run_rounds(options):
    folder = case.work_folder() / f"crash-{options.seed}"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    disk = unsynced_disk(folder, options) if options.unsynced else None
    field = Field(folder, options.versions, disk, rtt=options.rtt)
    total = [0, 0, 0, 0]
    try:
        copied = write_while(field, options.seed, field.start)
        print(f"copied while {len(copied)} transactions committed", flush=True)
        for number in range(1, options.rounds + 1):
            began = time.monotonic()
            result = Round(field, number, options).run()
            total = [a + b for a, b in zip(total, result)]
            print(
                f"round {number}: {result[0]} faults, {result[1]} transactions, "
                f"{result[2]} rows compared, {result[3]} differences, "
                f"{time.monotonic() - began:.0f} s",
                flush=True,
            )
            if result[3]:
                break
        if not total[3]:
            expect_lost_row_noticed(field, (options.rounds + 1) * ROUND_IDS)
    except process.Failed as failure:
        print(f"failed: {failure}")
        show_logs(folder)
        total[3] += 1
    finally:
        if not (options.keep and total[3]):
            field.close()
        else:
            process.kill_all()
            print(f"kept: {folder}")
    print("faults:", ", ".join(f"{name} {count}" for name, count in sorted(field.counts.items())))
    if disk:
        print("lost:", ", ".join(f"{name} {count}" for name, count in sorted(disk.lost.items())))
    return total


def unsynced_disk(folder, options):
    library = case.program(
        "the library of unsynced writes",
        "FARSHORE_UNSYNCED",
        "tests/crash/libfarshore_unsynced.so",
    )
    return UnsyncedDisk(case.farshore_program(), library, folder, random.Random(options.seed))


def kill_region(number, options):
    """(transactions acknowledged, lost)"""
    folder = case.work_folder() / f"region-{options.seed}-{number}"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    field = Field(folder, options.versions, rtt=options.rtt)
    chance = random.Random(options.seed * 7919 + number)
    try:
        field.start()
        name = field.source.value(
            "SELECT application_name FROM pg_stat_replication "
            "WHERE application_name LIKE 'farshore%%'"
        )
        field.source.sql("ALTER SYSTEM SET synchronous_commit = 'local'")
        field.source.sql(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        field.source.sql("SELECT pg_reload_conf()")
        writers = [
            Writer(n, field.source, n, options.seed + n, "remote_apply") for n in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(2, 6))
        field.deployment.near.kill()
        field.source.kill()
        acknowledged = [number for writer in writers for number in list(writer.acknowledged)]
        for writer in writers:
            writer.stopping.set()
        shutil.rmtree(field.source.data)
        shutil.rmtree(folder / "data-r1")
        settle(field.target)
        lost = missing_ids(field.target, acknowledged)
        if lost:
            print(f"  region kill {number}: lost {lost[:10]}")
        return len(acknowledged), len(lost)
    finally:
        field.close()


def settle(target):
    """Until nothing new has arrived for two seconds."""
    seen, since = None, time.monotonic()
    while time.monotonic() - since < 2:
        now = target.value("SELECT count(*) FROM ledger")
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.2)


def show_logs(folder):
    for log in sorted(folder.glob("agent-*.log")):
        print(f"---- {log.name}")
        print("\n".join(log.read_text(errors="replace").splitlines()[-25:]))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--region-kills", type=int, default=0)
    parser.add_argument("--transactions", type=int, default=20_000, help="at least, in each round")
    parser.add_argument("--round-seconds-max", type=int, default=240)
    parser.add_argument("--seed", type=int, default=random.randrange(1, 10**6))
    parser.add_argument("--rtt", default="10ms")
    parser.add_argument("--versions", default="15,15", help="of source and target")
    parser.add_argument(
        "--unsynced", action="store_true", help="killed agents lose what they did not sync"
    )
    parser.add_argument("--keep", action="store_true", help="keep the folder of a failed run")
    options = parser.parse_args()
    options.versions = [int(version) for version in options.versions.split(",")]
    if not options.rounds and not options.region_kills:
        options.rounds = 5
    return options


def main():
    options = arguments()
    process.clean_up_at_exit()
    print(f"seed {options.seed}")
    bad = False
    if options.rounds:
        faults, transactions, rows, differences = run_rounds(options)
        print(
            f"{options.rounds} rounds: {faults} faults, {transactions} transactions, "
            f"{rows} rows compared, {differences} differences"
        )
        bad |= differences > 0 or rows == 0
    if options.region_kills:
        acknowledged = lost = 0
        for number in range(1, options.region_kills + 1):
            one, gone = kill_region(number, options)
            acknowledged, lost = acknowledged + one, lost + gone
            print(f"region kill {number}: {one} acknowledged, {gone} lost", flush=True)
            if gone:
                break
        print(f"{number} region kills: {acknowledged} commits acknowledged, {lost} lost")
        bad |= lost > 0 or acknowledged == 0
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
