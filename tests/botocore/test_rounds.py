"""A few of the random rounds of `make conformance`."""

import subprocess
import sys
from pathlib import Path

import pytest


SCRIPT = Path(__file__).parents[1] / "conformance" / "aws_rounds.py"


@pytest.mark.real
def test_a_few_rounds():
    """No duplicate, nothing lost, no false failure, callers killed included."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, "--rounds", "15", "--seed", "3"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "15 rounds" in done.stdout
