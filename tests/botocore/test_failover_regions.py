"""Two regions as servers of their own: one dies, and comes back."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


PROGRAM = Path(__file__).parents[1] / "conformance" / "aws_failover.py"


@pytest.mark.real
@pytest.mark.slow
def test_a_region_dies_under_load():
    """Marked calls are answered, nothing is written twice, and it is back in time."""
    command = [sys.executable, str(PROGRAM), "--short", "--how", "refuse"]
    made = subprocess.run(
        [*command, "--rate", "30"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert 0 == made.returncode, made.stdout + made.stderr
    figures = json.loads(made.stdout[made.stdout.index("{") :])
    assert 0 == figures["writes in both"] == figures["writes lost"]
    assert figures["answered by region two"] > 0
