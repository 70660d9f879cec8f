#!/usr/bin/python3
"""Each finding of `farshore check` has its line in docs/operating/check.md and its scenario."""

import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Codes that no scenario shows, and why.
WITHOUT_SCENARIO = {
    "version": "needs a PostgreSQL before 14; src/engine/postgres/site_version_test.cpp fakes one",
    "minor_release": "needs a server that lacks updates; site_version_test.cpp there fakes one",
    "site": "a file with such an engine is refused before, tests/scenario/config/values.txt",
}

LEVEL = r"Level::(?:note|warning|error)"
# `FindingLevel::error, "wal_level"` (or one of two), `.code = "holds_rows"`, a secret's, a kind of
# what is left out.
IN_SOURCES = (
    rf'{LEVEL},\s*(?:\w+ \? )?"(\w+)"(?:\s*:\s*"(\w+)")?',
    r'\.code = "(\w+)"',
    r'secret_finding\(\s*"(\w+)"',
    r'^    \{"(\w+)", "\w+\.\w+",',
)
IN_SCENARIOS = r"^(?:error|warning|note)  .*  (\w+)(?:, stream [\w-]+)?$"


def in_sources():
    codes = set()
    for file in sorted((ROOT / "src").rglob("*.cpp")):
        if not re.search(r"test\.cpp$", file.name):
            for pattern in IN_SOURCES:
                for match in re.finditer(pattern, file.read_text(), re.MULTILINE):
                    codes.update(filter(None, match.groups()))
    return codes


def in_scenarios():
    texts = [file.read_text() for file in (ROOT / "tests/scenario").rglob("*.txt")]
    return {code for text in texts for code in re.findall(IN_SCENARIOS, text, re.MULTILINE)}


def in_docs():
    """The first column of each table."""
    lines = (ROOT / "docs/operating/check.md").read_text().splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    return {code for cell in cells for code in re.findall(r"`(\w+)`", cell)}


class FindingsTest(unittest.TestCase):
    def test_each_has_a_scenario(self):
        without = (in_sources() | in_docs()) - in_scenarios()
        self.assertEqual(without, set(WITHOUT_SCENARIO), "findings without a scenario")

    def test_the_document_names_those_that_there_are(self):
        self.assertEqual(in_docs(), in_sources())

    def test_a_scenario_shows_none_that_is_gone(self):
        self.assertEqual(in_scenarios() - in_sources(), set())


if __name__ == "__main__":
    unittest.main()
