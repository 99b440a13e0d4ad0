"""The program that counts at the server is whole; all of it runs by hand."""

import subprocess
import sys
from pathlib import Path


PROGRAM = Path(__file__).parents[1] / "conformance" / "aws_owner.py"


def test_a_part_of_it():
    """One owner for each source of settings, two kinds of sessions, and redirects."""
    done = subprocess.run(
        [sys.executable, PROGRAM, "--short"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, ""), done.stdout
