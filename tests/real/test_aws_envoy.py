"""S3, DynamoDB and SQS behind an Envoy by which a third of all requests fail."""

import subprocess
import sys
from pathlib import Path

import pytest


SCRIPT = Path(__file__).parents[1] / "conformance" / "aws_envoy.py"


@pytest.mark.real
def test_a_few_calls(need):
    """All succeed in time, nothing is done twice, requests are as predicted."""
    need("envoy")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, "--short", "--peers", ""],
        capture_output=True,
        text=True,
        check=False,
    )

    assert 0 == done.returncode, done.stdout + done.stderr
    assert "requests per call, measured" in done.stdout
