#!/usr/bin/python3
"""tools/dev/setup forbids services to start only while it installs, whatever ends it."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from lab import junit  # noqa: E402

APT = """#!/bin/sh
grep -q "exit 101" {policy} && touch {folder}/forbidden
touch {folder}/installing
exec sleep {seconds}
"""


class SetupTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.policy = self.folder / "policy-rc.d"
        (self.folder / "tools/dev").mkdir(parents=True)
        script = (ROOT / "tools/dev/setup").read_text()
        for word in "/usr/sbin/", "/etc/postgresql-common/":
            self.assertIn(word, script)
            script = script.replace(word, f"{self.folder}/")
        script = script.replace("mkdir -p /etc/postgresql-common", "true")
        self.program("tools/dev/setup", script)
        self.program("bin/id", "#!/bin/sh\necho 0\n")

    def program(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)

    def start(self, installed="", seconds=0):
        """With an apt-get that takes so long, twice; `installed`: what dpkg says of each."""
        self.program("bin/dpkg-query", f"#!/bin/sh\necho {installed}\n")
        apt = APT.format(policy=self.policy, folder=self.folder, seconds=seconds)
        self.program("bin/apt-get", apt)
        return subprocess.Popen(
            [self.folder / "tools/dev/setup", "build"],
            env=dict(os.environ, PATH=f"{self.folder}/bin:{os.environ['PATH']}"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=self.hear_signals,
        )

    @staticmethod
    def hear_signals():
        """Also where tests run in the background: bash traps none that was ignored before."""
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            signal.signal(number, signal.SIG_DFL)

    def installing(self):
        """A run, while its apt-get runs."""
        run = self.start(seconds=0.3)
        while not (self.folder / "installing").exists():
            self.assertIsNone(run.poll(), "it ended before it installed")
            time.sleep(0.01)
        return run

    def test_no_service_starts_while_it_installs_and_the_file_is_removed(self):
        self.assertEqual(self.start().wait(10), 0)
        self.assertTrue((self.folder / "forbidden").exists())
        self.assertFalse(self.policy.exists())

    def test_a_run_that_is_told_to_end_removes_it(self):
        for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
            (self.folder / "installing").unlink(missing_ok=True)
            run = self.installing()
            run.send_signal(number)
            self.assertEqual(run.wait(10), 128 + number)
            self.assertFalse(self.policy.exists(), number)

    def test_what_a_killed_run_has_left_is_removed_by_the_next(self):
        for installed in "", "installed":
            (self.folder / "installing").unlink(missing_ok=True)
            run = self.installing()
            run.kill()
            run.wait(10)
            self.assertTrue(self.policy.exists())
            self.assertEqual(self.start(installed).wait(10), 0)
            self.assertFalse(self.policy.exists(), installed)

    def test_one_of_somebody_else_stays(self):
        self.policy.write_text("#!/bin/sh\nexit 101\n")
        self.assertEqual(self.start().wait(10), 0)
        self.assertEqual(self.policy.read_text(), "#!/bin/sh\nexit 101\n")


if __name__ == "__main__":
    junit.main()
