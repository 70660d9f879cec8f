"""Imported first by every test here: makes tools/lab importable."""

import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))

from lab import junit, process  # noqa: E402

# A program with sanitizers is right but slow: times are then not judged.
SANITIZED = "sanitize" in os.environ.get("FARSHORE_FLAGS", "")


def main():
    process.clean_up_at_exit()
    junit.main()
