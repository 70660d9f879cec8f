"""Runs the unittest cases of one file.

With FARSHORE_JUNIT=FOLDER it also writes FOLDER/NAME.xml, which tools/test_stages.py counts.
"""
import os
import pathlib
import sys
import time
import unittest
import xml.etree.ElementTree as ElementTree


class _Recorder(unittest.TextTestResult):
    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.cases = {}  # id -> [seconds, None or what went wrong]
        self.began = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()
        self.cases[test.id()] = [0.0, None]

    def stopTest(self, test):
        self.cases[test.id()][0] = time.monotonic() - self.began
        super().stopTest(test)

    def _wrong(self, test):
        text = (self.failures + self.errors)[-1][1] if self.failures or self.errors else "failed"
        self.cases.setdefault(test.id(), [0.0, None])[1] = text

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.cases.setdefault(test.id(), [0.0, None])[1] = self.failures[-1][1]

    def addError(self, test, err):
        super().addError(test, err)
        self.cases.setdefault(test.id(), [0.0, None])[1] = self.errors[-1][1]

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self._wrong(test)


def _write(path, suite, cases):
    root = ElementTree.Element("testsuite", name=suite, tests=str(len(cases)))
    for name, (seconds, wrong) in cases.items():
        case = ElementTree.SubElement(
            root, "testcase", classname=suite, name=name, time=f"{seconds:.3f}"
        )
        if wrong is not None:
            ElementTree.SubElement(case, "failure").text = wrong
    ElementTree.ElementTree(root).write(path, encoding="unicode", xml_declaration=True)


def main(argv=None):
    """Exit status of the tests in the file that was started; arguments are names of cases."""
    argv = sys.argv if argv is None else argv
    name = os.environ.get("FARSHORE_TEST_NAME", pathlib.Path(argv[0]).stem)
    module = sys.modules["__main__"]
    loader = unittest.TestLoader()
    chosen = [word for word in argv[1:] if not word.startswith("-")]
    suite = (
        loader.loadTestsFromNames(chosen, module) if chosen else loader.loadTestsFromModule(module)
    )
    runner = unittest.TextTestRunner(
        stream=sys.stdout, verbosity=2, resultclass=_Recorder, failfast="-f" in argv
    )
    result = runner.run(suite)
    if folder := os.environ.get("FARSHORE_JUNIT"):
        _write(pathlib.Path(folder) / f"{name}.xml", name, result.cases)
    sys.exit(0 if result.wasSuccessful() and result.testsRun else 1)
