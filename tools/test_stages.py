#!/usr/bin/python3
"""Runs the test stages in order, each within its budget. The last line is `N passed, N failed`.

A stage is one command. Stages of ctest count single test cases (GoogleTest and the Python tests
write JUnit files); every other stage counts as one test. A stage that passes its budget is ended
and counts as failed.
"""
import argparse
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

ROOT = pathlib.Path(__file__).resolve().parent.parent
RESULTS = ROOT / ".test"
TOTAL_BUDGET_MINUTES = 40
SETUP_BUDGET_MINUTES = 3  # as in tools/dev/test, which runs it


@dataclasses.dataclass
class Stage:
    name: str
    minutes: float
    command: list
    ctest_label: str = ""
    needs: pathlib.Path | None = None  # the stage exists once this path does


@dataclasses.dataclass
class Outcome:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0
    remarks: list = dataclasses.field(default_factory=list)


def ctest(name, minutes, preset, label, parallel=1, needs=None):
    command = [
        "ctest",
        "--test-dir",
        f"build/{preset}",
        "-L",
        f"^{label}$",
        "-j",
        str(parallel),
        "--output-on-failure",
        "--output-junit",
        str(RESULTS / name / "ctest.xml"),
    ]
    return Stage(name, minutes, command, ctest_label=label, needs=needs)


def stages(preset):
    jobs = os.environ.get("FARSHORE_JOBS", str(os.cpu_count() or 2))
    tests = ROOT / "tests"
    return [
        Stage("lint", 0.75, ["tools/lint.py", "--tidy-seconds", "60"]),
        Stage("build", 10.25, ["tools/dev/build", preset]),
        ctest("unit", 3, preset, "test", parallel=jobs),
        ctest("fuzz", 0.25, preset, "fuzz", parallel=jobs, needs=tests / "fuzz"),
        ctest("tools", 0.5, preset, "tools", parallel=jobs),
        ctest("scenario", 1.25, preset, "scenario", parallel=jobs, needs=tests / "scenario"),
        ctest("servers", 5, preset, "pgtest", parallel=jobs),
        ctest("sim", 4, preset, "sim", parallel=jobs, needs=tests / "sim"),
        ctest("integration", 9.5, preset, "integration", parallel=jobs),
        ctest("crash", 2.5, preset, "crash", needs=tests / "crash"),
    ]


def stop_group(process):
    for signal_number, patience in ((signal.SIGTERM, 20), (signal.SIGKILL, 10)):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(patience)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def run(stage):
    """The exit status (None: over budget) and the seconds it took."""
    folder = RESULTS / stage.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = dict(
        os.environ,
        GTEST_OUTPUT=f"xml:{folder}/",
        FARSHORE_JUNIT=str(folder),
        CTEST_OUTPUT_ON_FAILURE="1",
        # The simulation's many small stacks make the first one twice as slow.
        ASAN_OPTIONS=f"detect_stack_use_after_return={int(stage.name == 'unit')}:"
        "strict_string_checks=1",
        UBSAN_OPTIONS="print_stacktrace=1",
    )
    began = time.monotonic()
    process = subprocess.Popen(stage.command, cwd=ROOT, env=environment, start_new_session=True)
    try:
        status = process.wait(stage.minutes * 60)
    except subprocess.TimeoutExpired:
        stop_group(process)
        status = None
    except KeyboardInterrupt:
        stop_group(process)
        raise
    return status, time.monotonic() - began


def count_cases(path):
    """Passed, failed and skipped cases of one JUnit file, and the names of those that failed."""
    outcome = Outcome()
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            outcome.failed += 1
            outcome.remarks.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            outcome.skipped += 1
        else:
            outcome.passed += 1
    return outcome


def count_ctest(folder, outcome):
    """Adds up a ctest stage. A program that failed without naming a case (a crash) counts one."""
    report = folder / "ctest.xml"
    if not report.exists():
        return False
    for program in ElementTree.parse(report).getroot().iter("testcase"):
        name = program.get("name")
        good = program.get("status") == "run" and program.find("failure") is None
        cases = Outcome()
        if (folder / f"{name}.xml").exists():
            try:
                cases = count_cases(folder / f"{name}.xml")
            except ElementTree.ParseError:
                good = False
        elif good:
            cases.passed = 1
        if not good and cases.failed == 0:
            cases.failed = 1
            cases.remarks.append(name)
        outcome.passed += cases.passed
        outcome.failed += cases.failed
        outcome.skipped += cases.skipped
        outcome.remarks += cases.remarks
    return True


def judge(stage, status):
    outcome = Outcome()
    counted = stage.ctest_label and count_ctest(RESULTS / stage.name, outcome)
    if status is None:
        outcome.failed += 1
        outcome.remarks.append(f"over its budget of {stage.minutes:g} min")
    elif not counted:
        outcome.passed, outcome.failed = (1, 0) if status == 0 else (0, 1)
    elif status != 0 and outcome.failed == 0:
        outcome.failed = 1
        outcome.remarks.append(f"ctest ended with {status}")
    elif outcome.passed + outcome.failed == 0:
        outcome.failed = 1
        outcome.remarks.append(f"no test has the label '{stage.ctest_label}'")
    return outcome


def arguments(argv):
    parser = argparse.ArgumentParser(prog="./test", description=__doc__)
    parser.add_argument("--preset", default="asan", help="build preset (asan)")
    parser.add_argument(
        "--stage", action="append", metavar="NAME", help="only this stage; may be repeated"
    )
    parser.add_argument(
        "--list", action="store_true", help="the stages and their budgets, then end"
    )
    parser.add_argument("--setup-took", type=float, metavar="SECONDS", help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv):
    options = arguments(argv)
    every = stages(options.preset)
    budget = SETUP_BUDGET_MINUTES + sum(stage.minutes for stage in every)
    if budget > TOTAL_BUDGET_MINUTES:
        print(f"test: the budgets add up to {budget:g} min, at most {TOTAL_BUDGET_MINUTES}")
        return 1
    unknown = set(options.stage or []) - {stage.name for stage in every}
    if unknown:
        print(
            f"test: no stage {', '.join(sorted(unknown))}; "
            f"there are {', '.join(stage.name for stage in every)}"
        )
        return 2
    if options.list:
        for stage in every:
            print(f"{stage.name:12} {stage.minutes:4g} min  {' '.join(stage.command)}")
        return 0

    outcomes = []
    if options.setup_took is not None:
        outcomes.append(
            ("setup", SETUP_BUDGET_MINUTES, Outcome(passed=1, seconds=options.setup_took))
        )
    for stage in every:
        if options.stage and stage.name not in options.stage:
            continue
        if stage.needs and not stage.needs.exists():
            continue
        print(
            f"== {stage.name} (budget {stage.minutes:g} min): {' '.join(stage.command)}", flush=True
        )
        status, seconds = run(stage)
        outcome = judge(stage, status)
        outcome.seconds = seconds
        outcomes.append((stage.name, stage.minutes, outcome))
        print(
            f"== {stage.name}: {outcome.passed} passed, {outcome.failed} failed, {seconds:.0f} s",
            flush=True,
        )
        if stage.name == "build" and outcome.failed:
            break  # nothing below can be trusted
    return report(outcomes)


def report(outcomes):
    print("\n== summary")
    for name, minutes, outcome in outcomes:
        skipped = f", {outcome.skipped} skipped" if outcome.skipped else ""
        print(
            f"{name:12} {outcome.passed:5} passed {outcome.failed:4} failed{skipped}"
            f"   {outcome.seconds / 60:5.1f} of {minutes:g} min"
        )
        for remark in outcome.remarks:
            print(f"    failed: {remark}")
    passed = sum(outcome.passed for _, _, outcome in outcomes)
    failed = sum(outcome.failed for _, _, outcome in outcomes)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
