#!/usr/bin/env python3
"""Runs scenario files against the real binary; see README.md beside it. Exit 0: all as expected."""
import argparse
import difflib
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
COMMAND_SECONDS_MAX = 60


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


def output_of(command, folder, binary):
    words = shlex.split(command)
    if words[0] == "farshore":
        words[0] = binary
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        words,
        cwd=folder,
        env=environment | {"TZ": "UTC"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    return [f"exit {done.returncode}"] + [line or "." for line in done.stdout.splitlines()]


def replay(scenario, binary):
    """The scenario's text with what its commands print now."""
    lines = scenario.read_text().splitlines()
    result = []
    with tempfile.TemporaryDirectory(prefix="farshore-scenario-") as folder:
        folder = pathlib.Path(folder)
        i = 0
        while i < len(lines):
            line = lines[i]
            if not line.strip() or line.startswith("#"):
                result.append(line)
                i += 1
                continue
            try:
                end = lines.index("----", i)
            except ValueError:
                raise Malformed(f"line {i + 1}: no ---- after '{line}'") from None
            body = lines[i + 1:end]
            result += lines[i:end + 1]
            i = end + 1
            if write := re.fullmatch(r"write (\S+)(?: from (\S+))?", line):
                name, base = write.groups()
                text = "\n".join(body) + "\n"
                if base:
                    text = changed((scenario.parent / base).read_text(), body)
                (folder / name).write_text(text)
                (folder / name).chmod(0o600)
            elif line.startswith("run "):
                while i < len(lines) and lines[i].strip():
                    i += 1
                result += output_of(line[4:], folder, binary)
            else:
                raise Malformed(f"line {end}: '{line}' is neither write nor run")
    return "\n".join(result) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", help="the farshore program")
    parser.add_argument("--rewrite", action="store_true", help="update the expected output")
    parser.add_argument(
        "scenarios", nargs="*", type=pathlib.Path, default=[HERE], help="files or folders"
    )
    arguments = parser.parse_args()
    binary = str(pathlib.Path(arguments.binary).resolve())
    files = []
    for path in arguments.scenarios:
        files += sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    files = [f for f in files if f.name != "CMakeLists.txt"]
    failed = 0
    for scenario in files:
        before = scenario.read_text()
        try:
            after = replay(scenario, binary)
        except (Malformed, OSError, subprocess.TimeoutExpired) as failure:
            print(f"{scenario}: {failure}")
            failed += 1
            continue
        if after == before:
            continue
        if arguments.rewrite:
            scenario.write_text(after)
            print(f"{scenario}: rewritten")
            continue
        failed += 1
        sys.stdout.writelines(
            difflib.unified_diff(
                before.splitlines(True),
                after.splitlines(True),
                f"{scenario} expected",
                f"{scenario} printed",
            )
        )
    print(f"scenario: {len(files)} files, {failed} failed")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main())
