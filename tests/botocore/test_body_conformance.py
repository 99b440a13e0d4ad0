"""The script that moves objects through cuts and stalls holds on a small one."""

import subprocess
import sys
from pathlib import Path

import pytest


SCRIPT = Path(__file__).resolve().parents[1] / "conformance" / "aws_bodies.py"


@pytest.mark.real
def test_a_small_object_through_cuts():
    """Whole, bounded, and nothing left behind: the script finds no problem."""
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--short", "--no-cost", "--seed", "5"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr[-2000:]
    assert "stall" in done.stdout
