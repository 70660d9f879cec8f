#!/usr/bin/env python3
"""Plants the bugs of planted.txt, one after the other, and shows that sim or crash finds each.

It works in a copy of the tree (build/bugs), never in the tree. First every finder that is needed
runs without a bug: it must find nothing. Last line: found, missed; exit 1 when a bug was missed or
no longer applies.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import lint  # noqa: E402

COPY = ROOT / "build/bugs"
PRESET = os.environ.get("FARSHORE_PRESET", "debug")
BUILT = COPY / "build" / PRESET
JOBS = int(os.environ.get("FARSHORE_JOBS", os.cpu_count() or 2))
CRASH = ["/usr/bin/python3", COPY / "tests/crash/crash.py", "--transactions", "1500"]


class Stale(Exception):
    """A bug that no longer fits the tree."""


@dataclasses.dataclass
class Edit:
    """Lines of one file; indentation does not count."""

    file: str
    old: list = dataclasses.field(default_factory=list)
    new: list = dataclasses.field(default_factory=list)

    def applied_to(self, text):
        lines = text.split("\n")
        bare = [line.strip() for line in lines]
        size = len(self.old)
        places = [i for i in range(len(bare)) if bare[i : i + size] == self.old]
        if len(places) != 1 or not size:
            raise Stale(f"{self.file} has '{' '.join(self.old)}' {len(places)} times")
        lines[places[0] : places[0] + size] = self.new
        return "\n".join(lines)


@dataclasses.dataclass
class Bug:
    name: str
    finder: str
    breaks: str
    edits: list

    def plant(self, root):
        """The files' texts with the bug in them, by path."""
        texts = {}
        for edit in self.edits:
            path = root / edit.file
            if path not in texts and not path.is_file():
                raise Stale(f"there is no {edit.file}")
            texts[path] = edit.applied_to(texts.get(path) or path.read_text())
        return texts


def read_bugs(path):
    bugs = []
    for block in re.split(r"\n\s*\n", path.read_text()):
        lines = [line.strip() for line in block.split("\n")]
        lines = [line for line in lines if line and not line.startswith("#")]
        if not lines:
            continue
        name, finder = lines[0].split(": ")
        if finder not in FINDERS:
            raise SystemExit(f"{path.name}: '{name}' names no finder: {finder}")
        bugs.append(Bug(name, finder, lines[1], read_edits(lines[2:])))
    return bugs


def read_edits(lines):
    edits = []
    for line in lines:
        if line.startswith("- "):
            edits[-1].old.append(line[2:])
        elif line.startswith("+ "):
            edits[-1].new.append(line[2:])
        else:
            edits.append(Edit(line))
    return edits


# ---------------------------------------------------------------------------------- the copy


def copy_tree():
    """Writes what differs, so that a build in the copy does only what is new."""
    names = lint.Tree(ROOT).names
    for name in names:
        source, target = ROOT / name, COPY / name
        if target.is_file() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    wanted = set(names)
    for path in COPY.rglob("*"):
        name = path.relative_to(COPY).as_posix()
        if path.is_file() and not name.startswith("build/") and name not in wanted:
            path.unlink()


def build(*targets):
    environment = dict(os.environ, CCACHE_BASEDIR=str(COPY), CCACHE_NOHASHDIR="1")
    done = subprocess.run(
        [COPY / "tools/dev/build", PRESET, *targets],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Stale(f"it does not build: {done.stdout[-2000:]}")


# ---------------------------------------------------------------------------------- the finders


def find_by_sim(options):
    """'seed N', or None when no seed of all failed. The seeds are dealt out to the processors."""
    share = -(-options.seeds // JOBS)
    children = [
        subprocess.Popen(
            [BUILT / "tests/sim/farshore_sim", "--until-failure", "--quiet"]
            + ["--first", str(1 + i * share), "--seeds", str(share)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(JOBS)
    ]
    found = None
    while found is None and any(child.poll() is None for child in children):
        time.sleep(0.1)
        found = next((child for child in children if child.poll()), None)
    for child in children:
        if child is not found:
            child.kill()
    found = found or next((child for child in children if child.wait()), None)
    if found is None or found.returncode < 0:
        return None
    said = found.stdout.read()
    match = re.search(r"seed (\d+): FAILED.*\n\s*(.*)", said)
    return f"seed {match[1]}: {match[2]}" if match else said[-200:]


def find_by_crash(*words):
    def find(options):
        environment = dict(os.environ)
        for name in ("FARSHORE", "FARSHORE_WAN", "FARSHORE_UNSYNCED"):
            environment.pop(name, None)  # those of the copy, not of the tree
        done = subprocess.run(
            [*CRASH, "--seed", "1", *[word.format(rounds=options.rounds) for word in words]],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if done.returncode == 0:
            return None
        rounds = len(
            re.findall(r"^(?:round|region kill) \d+:.* 0 (?:differences|lost)", done.stdout, re.M)
        )
        why = re.search(r"^failed: .*|^ .*(?:differences|missing|lost).*", done.stdout, re.M)
        return f"round {rounds + 1}: {why[0].strip() if why else done.stdout[-300:]}"

    return find


CRASH_TARGETS = ("farshore", "farshore_wan", "farshore_unsynced")
FINDERS = {  # what it needs built, what it does
    "sim": (("farshore_sim",), find_by_sim),
    "crash": (CRASH_TARGETS, find_by_crash("--rounds", "{rounds}")),
    "unsynced": (CRASH_TARGETS, find_by_crash("--rounds", "{rounds}", "--unsynced")),
    "regions": (CRASH_TARGETS, find_by_crash("--region-kills", "{rounds}", "--rtt", "80ms")),
}


def run(finder, options):
    """(what was found or None, seconds)"""
    began = time.monotonic()
    targets, find = FINDERS[finder]
    build(*targets)
    return find(options), time.monotonic() - began


def expect_nothing_without(bugs, options):
    for finder in FINDERS:
        if all(bug.finder != finder for bug in bugs):
            continue
        found, seconds = run(finder, options)
        print(f"without a bug: {finder} found {found or 'nothing'}, {seconds:.0f} s", flush=True)
        if found:
            raise SystemExit(1)


def hunt(bug, options):
    before = {}
    try:
        planted = bug.plant(COPY)
        before = {path: path.read_text() for path in planted}
        for path, text in planted.items():
            path.write_text(text)
        found, seconds = run(bug.finder, options)
    except Stale as stale:
        found, seconds = None, 0
        print(f"{bug.name}: {stale}")
    finally:
        for path, text in before.items():
            path.write_text(text)
    verdict = "found " if found else "MISSED"
    said = (found or "")[:150]
    print(f"{verdict} {bug.name:30} {bug.finder:9} {seconds:4.0f} s  {said}", flush=True)
    return found is not None


def arguments(argv):
    parser = argparse.ArgumentParser(prog="./dev bugs", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these")
    parser.add_argument("--seeds", type=int, default=500, help="of sim, at most")
    parser.add_argument("--rounds", type=int, default=10, help="of crash, at most")
    parser.add_argument("--list", action="store_true", help="name them, then end")
    parser.add_argument("--check", action="store_true", help="does each still apply? then end")
    parser.add_argument(
        "--planted-only", action="store_true", help="no run without a bug before them"
    )
    return parser.parse_args(argv)


def check(bugs):
    stale = 0
    for bug in bugs:
        try:
            bug.plant(ROOT)
        except Stale as why:
            print(f"{bug.name}: {why}")
            stale += 1
    print(f"{len(bugs) - stale} bugs apply, {stale} do not")
    return 1 if stale else 0


def main(argv):
    options = arguments(argv)
    bugs = read_bugs(ROOT / "tests/bugs/planted.txt")
    if unknown := set(options.names) - {bug.name for bug in bugs}:
        print(f"there is no bug {', '.join(sorted(unknown))}; --list names them")
        return 2
    bugs = [bug for bug in bugs if not options.names or bug.name in options.names]
    if options.list:
        for bug in bugs:
            print(f"{bug.name:30} {bug.finder:9} {bug.breaks}")
        return 0
    stale = check(bugs)
    if stale or options.check:
        return stale
    copy_tree()
    if not options.planted_only:
        expect_nothing_without(bugs, options)
    found = sum(hunt(bug, options) for bug in bugs)
    print(f"{found} found, {len(bugs) - found} missed")
    return 0 if found == len(bugs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
