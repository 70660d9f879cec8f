#!/usr/bin/python3
"""tools/lab leaves nothing behind but what is kept, and fails a test whose agents are loud."""

import contextlib
import io
import pathlib
import subprocess
import sys
import unittest
import unittest.mock

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
from lab import junit  # noqa: E402
from lab.case import LabTest  # noqa: E402
from lab.farshore import Agent  # noqa: E402

USER = """
import sys
sys.path.insert(0, sys.argv[1])
from lab import case
folder = case.work_folder()
(folder / "template-15").mkdir()
(folder / "template-15/base").touch()
for name in sys.argv[2:]:
    (folder / name).mkdir()
print(folder)
"""


class WorkFolderTest(unittest.TestCase):
    def folder_of_a_run(self, *kept):
        words = [sys.executable, "-c", USER, TOOLS, *kept]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        return pathlib.Path(done.stdout.strip())

    def test_it_is_gone_when_python_ends(self):
        self.assertFalse(self.folder_of_a_run().exists())

    def test_what_is_kept_stays_and_the_templates_do_not(self):
        folder = self.folder_of_a_run("broken")
        self.assertEqual([entry.name for entry in folder.iterdir()], ["broken"])
        (folder / "broken").rmdir()
        folder.rmdir()


def case_whose_agent_said(said, expected):
    """A test case in which nothing runs, and whose near agent's log holds these lines."""

    class Case(LabTest):
        expected_in_log = expected

        def runTest(self):
            deployment = self.deploy(None, None, start=False)
            agent = Agent("farshore", deployment.regions[0], "farshore.yaml", self.folder)
            agent.process.log.write_text(said)
            deployment.agents["r1"] = agent

    return Case()


class LoudLogTest(unittest.TestCase):
    def problems(self, said, expected=()):
        environment = {"FARSHORE": "farshore", "FARSHORE_WAN": "farshore_wan"}
        result = unittest.TestResult()
        with unittest.mock.patch.dict("os.environ", environment):
            with contextlib.redirect_stdout(io.StringIO()):
                case_whose_agent_said(said, expected).run(result)
        return [text for _, text in result.errors + result.failures]

    def test_a_warning_that_is_not_expected_fails_the_test(self):
        for line in "WARN  link.lost gone", "ERROR agent.fault x", '{"level":"WARN","event":"x"}':
            (problem,) = self.problems(f"2024-01-01T00:00:00.000Z {line}\n")
            self.assertIn("unexpected lines in the logs", problem)
            self.assertIn(line, problem)

    def test_what_is_expected_or_no_warning_is_quiet(self):
        self.assertEqual(self.problems("at INFO  stream.state fine\n"), [])
        self.assertEqual(self.problems("at WARN  link.lost gone\n", (r" link\.",)), [])


if __name__ == "__main__":
    junit.main()
