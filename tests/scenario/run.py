#!/usr/bin/python3
"""Runs scenario files against the real binary; see README.md beside it. Exit 0: all as expected."""
import argparse
import concurrent.futures
import difflib
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from live import Failed, World, clean_up_at_exit, wrong_clock  # noqa: E402

FILES_AT_ONCE = 4  # they mostly wait
COMMAND_SECONDS_MAX = 60
AWAIT_SECONDS_MAX = 20
AWAIT_NEW_SECONDS = 3  # for an output that is not written down yet


class Malformed(Exception):
    pass


def changed(base, edits):
    """`base` with each `- line` replaced by the `+ line`s after it."""
    lines = base.splitlines()
    at = None
    for edit in edits:
        sign, text = edit[:2], edit[2:]
        if sign == "- ":
            hits = [i for i, line in enumerate(lines) if line.strip() == text.strip()]
            if len(hits) != 1:
                raise Malformed(f"'{edit}' names {len(hits)} lines of the base, one is wanted")
            at = hits[0]
            indentation = re.match(" *", lines[at])[0]
            del lines[at]
        elif sign == "+ " and at is not None:
            lines.insert(at, indentation + text)
            at += 1
        else:
            raise Malformed(f"'{edit}': a changed line begins with '- ' or '+ '")
    return "\n".join(lines) + "\n"


def run(command, folder, binary):
    words = shlex.split(command)
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    if words[0].startswith("clock="):
        environment |= wrong_clock(binary, words.pop(0))
    if words[0] == "farshore":
        words[0] = binary
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment | {"TZ": "UTC", "USER": "operator"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    return f"exit {done.returncode}\n{done.stdout}"


class Replay:
    """One scenario; text() is its text with what its commands print now."""

    def __init__(self, scenario, folder, binary):
        self.lines = scenario.read_text().splitlines()
        self.beside = scenario.parent
        self.folder, self.binary = folder, binary
        self.world = World(folder, binary)
        self.at = 0
        self.result = []

    def text(self):
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if not line.strip() or line.startswith("#"):
                self.result.append(line)
                self.at += 1
            else:
                self.directive(line)
        return "\n".join(self.result) + "\n"

    def directive(self, line):
        try:
            end = self.lines.index("----", self.at)
        except ValueError:
            raise Malformed(f"line {self.at + 1}: no ---- after '{line}'") from None
        body = self.lines[self.at + 1:end]
        self.result += self.lines[self.at:end + 1]
        self.at = end + 1
        verb, _, rest = self.world.filled_in(line).partition(" ")
        if verb == "write":
            self.write(rest, body)
        elif verb in ("start", "stop", "reload"):
            self.world.change(verb, *shlex.split(rest))
        else:
            self.compare(verb, rest, "\n".join(body) + "\n", end)

    def write(self, what, body):
        name, *base = what.split(" from ")
        text = "\n".join(body) + "\n"
        if base:
            text = changed((self.beside / base[0]).read_text(), body)
        (self.folder / name).write_text(self.world.filled_in(text))
        (self.folder / name).chmod(0o600)

    def compare(self, verb, rest, body, end):
        expected = []
        while self.at < len(self.lines) and self.lines[self.at].strip():
            expected.append(self.lines[self.at])
            self.at += 1
        seconds = 0
        if verb == "await":
            seconds = AWAIT_SECONDS_MAX if expected else AWAIT_NEW_SECONDS
            verb, _, rest = rest.partition(" ")
        if verb not in ("run", "sql"):
            raise Malformed(f"line {end}: '{verb}' is no word that a scenario knows")
        ends = time.monotonic() + seconds
        while (printed := self.printed(verb, rest, body)) != expected and time.monotonic() < ends:
            time.sleep(0.2)
        self.result += printed

    def printed(self, verb, rest, body):
        if verb == "run":
            text = run(rest, self.folder, self.binary)
        else:
            text = self.world.sql(self.world.filled_in(body), *rest.split())
        return [self.world.shown(line) or "." for line in text.splitlines()]


def replay(scenario, binary):
    """The scenario's text with what its commands print now, and the logs of what it started."""
    with tempfile.TemporaryDirectory(prefix="farshore-scenario-") as folder:
        one = Replay(scenario, pathlib.Path(folder), binary)
        try:
            return one.text(), one.world.logs()
        finally:
            one.world.end()


def judge(scenario, binary, rewrite):
    """Whether it is as expected now, and what there is to say of it."""
    before = scenario.read_text()
    try:
        after, logs = replay(scenario, binary)
    except (Malformed, Failed, OSError, subprocess.TimeoutExpired) as failure:
        return False, f"{scenario}: {failure}\n"
    if after == before:
        return True, ""
    if rewrite:
        scenario.write_text(after)
        return True, f"{scenario}: rewritten\n"
    changes = difflib.unified_diff(
        before.splitlines(True),
        after.splitlines(True),
        f"{scenario} expected",
        f"{scenario} printed",
    )
    return False, "".join(changes) + "\n".join(logs) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the farshore program")
    parser.add_argument("--rewrite", action="store_true", help="update the expected output")
    parser.add_argument(
        "scenarios", nargs="*", type=pathlib.Path, default=[HERE], help="files or folders"
    )
    arguments = parser.parse_intermixed_args()
    clean_up_at_exit()
    binary = str(pathlib.Path(arguments.binary).resolve())
    files = []
    for path in arguments.scenarios:
        files += sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    files = [f for f in files if f.name != "CMakeLists.txt"]
    # The longest first, so that the last one does not run alone.
    files.sort(key=lambda f: f.stat().st_size, reverse=True)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        for good, said in pool.map(lambda f: judge(f, binary, arguments.rewrite), files):
            failed += 0 if good else 1
            print(said, end="")
    print(f"scenario: {len(files)} files, {failed} failed")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
