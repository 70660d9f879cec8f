#!/usr/bin/python3
"""tools/test_stages.py counts what ran, keeps budgets, and ends with one line to be trusted."""

import contextlib
import io
import pathlib
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import test_stages  # noqa: E402
from lab import junit, process  # noqa: E402
from test_stages import Stage  # noqa: E402

CTEST = """<testsuite>
  <testcase name="a_test" status="run"/>
  <testcase name="b_test" status="fail"><failure/></testcase>
  <testcase name="script" status="run"/>
</testsuite>"""
CASES = """<testsuites><testsuite>
  <testcase classname="A" name="Works" status="run"/>
  <testcase classname="A" name="Too" status="run"/>
  <testcase classname="A" name="Off" status="notrun"/>
</testsuite></testsuites>"""
FAILED_CASES = """<testsuites><testsuite>
  <testcase classname="B" name="Works" status="run"/>
  <testcase classname="B" name="Breaks" status="run"><failure message="x"/></testcase>
</testsuite></testsuites>"""


class StagesTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.results = pathlib.Path(folder.name)
        self.addCleanup(setattr, test_stages, "RESULTS", test_stages.RESULTS)
        test_stages.RESULTS = self.results

    def judge(self, status, **files):
        folder = self.results / "unit"
        folder.mkdir()
        for name, text in files.items():
            (folder / f"{name}.xml").write_text(text)
        return test_stages.judge(Stage("unit", 1, ["true"], ctest_label="test"), status)

    def counts(self, outcome):
        return outcome.passed, outcome.failed, outcome.skipped

    def test_single_cases_are_counted_and_a_program_without_them_counts_one(self):
        outcome = self.judge(8, ctest=CTEST, a_test=CASES, b_test=FAILED_CASES)
        self.assertEqual(self.counts(outcome), (2 + 1 + 1, 1, 1))
        self.assertEqual(outcome.remarks, ["B.Breaks"])

    def test_a_program_that_crashed_before_it_wrote_its_cases_has_failed(self):
        outcome = self.judge(8, ctest=CTEST, a_test=CASES)
        self.assertEqual(self.counts(outcome), (3, 1, 1))
        self.assertEqual(outcome.remarks, ["b_test"])

    def test_a_program_whose_cases_passed_but_which_failed_has_failed(self):
        outcome = self.judge(8, ctest=CTEST, a_test=CASES, b_test=CASES)  # a leak, say
        self.assertEqual(self.counts(outcome), (5, 1, 2))

    def test_a_label_without_tests_has_failed(self):
        self.assertEqual(self.counts(self.judge(0, ctest="<testsuite/>")), (0, 1, 0))

    def test_ctest_that_wrote_no_report_is_judged_by_its_status(self):
        self.assertEqual(self.counts(self.judge(1)), (0, 1, 0))

    def test_a_stage_over_its_budget_is_ended_with_all_its_children_and_has_failed(self):
        children = self.results / "children"
        script = f"sleep 100 & echo $! $$ > {children}; wait"
        stage = Stage("slow", 0.5 / 60, ["bash", "-c", script])
        began = time.monotonic()
        status, _ = test_stages.run(stage)
        self.assertLess(time.monotonic() - began, 5)
        self.assertIsNone(status)
        self.assertEqual(self.counts(test_stages.judge(stage, status)), (0, 1, 0))
        process.wait_until(
            lambda: not any(self.runs(pid) for pid in children.read_text().split()),
            5,
            "its children go on",
        )

    @staticmethod
    def runs(pid):
        """Not when it is dead and nobody has asked for its status yet."""
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        return stat.rpartition(")")[2].split()[0] != "Z"

    def report(self, *outcomes):
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            status = test_stages.report([("x", 1, outcome) for outcome in outcomes])
        return status, out.getvalue().splitlines()[-1]

    def test_the_last_line_is_the_sum(self):
        good = test_stages.Outcome(passed=3)
        bad = test_stages.Outcome(passed=1, failed=2)
        self.assertEqual(self.report(good, good), (0, "6 passed, 0 failed"))
        self.assertEqual(self.report(good, bad), (1, "4 passed, 2 failed"))
        self.assertEqual(self.report(test_stages.Outcome()), (1, "0 passed, 0 failed"))

    def test_the_budgets_fit_the_whole(self):
        stages = test_stages.stages("asan")
        total = test_stages.SETUP_BUDGET_MINUTES + sum(stage.minutes for stage in stages)
        self.assertLessEqual(total, test_stages.TOTAL_BUDGET_MINUTES)
        script = (test_stages.ROOT / "tools/dev/test").read_text()
        self.assertIn(f"setup_budget_minutes={test_stages.SETUP_BUDGET_MINUTES}\n", script)
        self.assertNotIn("timeout", script, "apt-get is not to be killed while it installs")


if __name__ == "__main__":
    junit.main()
