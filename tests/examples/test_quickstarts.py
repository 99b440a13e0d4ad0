"""The short examples run as they are printed, and do what they say."""

import subprocess
import sys

import pytest

from examples.servers.supervisor import ROOT


def run_example(name):
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", f"examples.{name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_any_function():
    """A function that fails twice succeeds at its third attempt, both ways."""
    done = run_example("any_function")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count("attempt 3") == 2
    assert "['EUR 1.09', 'EUR 1.09']" in done.stdout


def test_replay_outage():
    """Under the policy that was live nothing differs; with two attempts calls do."""
    done = run_example("replay_outage")

    assert done.returncode == 0, done.stderr
    assert "calls decided otherwise: {}" in done.stdout
    assert "'assumed': 0, 'unknown': 0" in done.stdout
    assert "fewer-attempts: recorded: attempt 2 ConnectionRefusedError" in done.stdout


@pytest.mark.real
def test_grpc_quickstart():
    """Every call of a shop that loses answers succeeds."""
    done = run_example("grpc_quickstart")

    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"intent"') == 10


@pytest.mark.real
def test_botocore_quickstart():
    """Every object is written and read through a failing proxy."""
    done = run_example("botocore_quickstart")

    assert done.returncode == 0, done.stderr
    assert "10 of 10 objects intact" in done.stdout
