"""LabTest: a test case with servers, a WAN and agents of its own, which fails on loud logs."""

import atexit
import os
import pathlib
import shutil
import tempfile
import unittest

from lab import compare, process
from lab.farshore import Deployment
from lab.ports import Ports
from lab.postgres import ROOT, Postgres, Templates

_templates = None
_root = None


def work_folder():
    """A short path (sockets) that the servers' user can read; removed when Python ends, unless
    something in it is kept."""
    global _root
    if _root is None:
        _root = pathlib.Path(tempfile.mkdtemp(prefix="fs-"))
        _root.chmod(0o755)
        atexit.register(_remove_work_folder)
    return _root


def _remove_work_folder():
    for template in _root.glob("template-*"):
        shutil.rmtree(template, ignore_errors=True)
    try:
        _root.rmdir()
    except OSError:
        pass  # what a test or a run keeps is in it


def templates():
    global _templates
    if _templates is None:
        _templates = Templates(work_folder())
    return _templates


def program(name, variable, path):
    """A program of ours: named by the environment (ctest does), else of the newest build."""
    if named := os.environ.get(variable):
        return pathlib.Path(named)
    found = [ROOT / "build" / preset / path for preset in ("debug", "release", "asan")]
    found = [candidate for candidate in found if candidate.exists()]
    if not found:
        raise process.Failed(f"{name} is not built: run ./dev build, or set {variable}")
    return max(found, key=lambda candidate: candidate.stat().st_mtime)


def farshore_program():
    return program("farshore", "FARSHORE", "src/daemon/farshore")


def wan_program():
    return program("farshore_wan", "FARSHORE_WAN", "tools/wan/farshore_wan")


class LabTest(unittest.TestCase):
    maxDiff = None
    # Log lines of level WARN or ERROR that this test expects, as regular expressions: all others
    # fail it when it ends.
    expected_in_log = ()

    def setUp(self):
        self.programs = farshore_program(), wan_program()
        self.ports = Ports()
        name = self.id().split(".")[-1].removeprefix("test_")[:24]
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=f"{name}-", dir=work_folder()))
        self.folder.chmod(0o755)
        self.deployments = []
        self.addCleanup(self._end)

    def tearDown(self):
        if not self._outcome.success:
            return  # what an agent says of it is shown below
        for deployment in self.deployments:
            deployment.expect_quiet_logs(*self.expected_in_log)

    def _end(self):
        process.kill_all()
        outcome = self._outcome.result
        broken = [test for test, _ in outcome.failures + outcome.errors if test is self]
        if broken:
            self._show_logs()
        if broken and os.environ.get("FARSHORE_KEEP"):
            print(f"kept: {self.folder}")
            return
        shutil.rmtree(self.folder, ignore_errors=True)

    def _show_logs(self):
        for log in sorted(self.folder.rglob("*.log")):
            lines = log.read_text(errors="replace").splitlines()
            print(f"---- {log.name}: last of {len(lines)} lines")
            print("\n".join(lines[-25:]))

    # ------------------------------------------------------------------ what a test builds
    def postgres(self, name, version=15, **settings):
        return Postgres(
            name, version, self.folder, self.ports.take(), templates(), settings
        ).create()

    def deploy(self, *servers, start=True, wait=True, **options):
        """A deployment of regions r1, r2, … with these servers; r1 holds the source."""
        regions = [(f"r{i}", server) for i, server in enumerate(servers, 1)]
        deployment = Deployment(*self.programs, self.folder, self.ports, regions, **options)
        self.deployments.append(deployment)
        return deployment.start(wait=wait) if start else deployment

    # ------------------------------------------------------------------ what a test asks
    def wait(self, condition, seconds, what, every=0.1):
        return process.wait_until(condition, seconds, what, every)

    def wait_applied(self, deployment, seconds=60, target=None):
        """Until a row committed now is visible in the target: so is all that was before it."""
        source, target = deployment.source, target or deployment.target
        number = source.value("INSERT INTO public.lab_marks DEFAULT VALUES RETURNING id")

        def there():
            deployment.expect_agents_running()
            return target.value("SELECT 1 FROM public.lab_marks WHERE id = %s", (number,))

        self.wait(there, seconds, lambda: f"mark {number} does not arrive: {deployment.try_leg()}")

    def wait_copied(self, deployment, seconds=60, target=None):
        """Until no table is to be copied any more: a mark may have come with its table's copy."""
        target = target or deployment.target
        self.wait(
            lambda: not target.value(
                "SELECT count(*) FROM farshore.table_state WHERE state IN ('pending', 'copying')"
            ),
            seconds,
            lambda: f"tables are still copied: {deployment.try_leg()}",
        )

    def make_marks(self, source):
        """The table that wait_applied() writes. Make it before the deployment starts."""
        source.sql(
            "CREATE TABLE public.lab_marks "
            "(id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY)"
        )

    def expect_equal(self, source, target, only=None):
        compared = compare.compare(source, target, only)
        self.assertTrue(compared, "no table was compared")
        for table in compared:
            self.assertTrue(
                table.equal(),
                f"{table.table}: {table.differences} differences in "
                f"{table.rows} rows: {table.shown}",
            )
        return sum(table.rows for table in compared)
