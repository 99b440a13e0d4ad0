"""Short slices of the long runs of `make conformance`: they work, and find nothing."""

import subprocess
import sys
from pathlib import Path

import pytest


pytestmark = pytest.mark.real
FOLDER = Path(__file__).parents[1] / "conformance"


def run(script, *words):
    command = [sys.executable, str(FOLDER / script), *words]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=50, check=False
    )


@pytest.mark.parametrize("style", ["sync", "asyncio"])
def test_replays_deliver_each_byte_once_and_in_order(style):
    """Two hundred replays under random faults, and no violation."""
    done = run("grpc_replays.py", "--replays", "200", "--style", style)
    assert (0, "") == (done.returncode, "" if done.returncode == 0 else done.stdout)
    assert "violations" in done.stdout


@pytest.mark.parametrize("style", ["blocking", "asyncio"])
def test_nothing_is_left_after_a_thousand_calls(style):
    """No thread, task, descriptor or object of ours outlives its call."""
    done = run("grpc_leaks.py", "--calls", "1000", "--style", style, "--short")
    assert (0, "") == (done.returncode, "" if done.returncode == 0 else done.stdout)
