"""Imported first by every test here: makes tools/lab importable."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from lab import junit, process  # noqa: E402


def main():
    process.clean_up_at_exit()
    junit.main()
