#!/usr/bin/python3
"""tools/lab leaves nothing behind but what is kept."""

import pathlib
import subprocess
import sys
import unittest

TOOLS = pathlib.Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))
from lab import junit  # noqa: E402

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


if __name__ == "__main__":
    junit.main()
