"""The longer AWS example does what it prints."""

import subprocess
import sys

import pytest

from examples.servers.supervisor import ROOT


@pytest.mark.real
def test_aws_writes_once():
    """One version of each order, a refusal, an honest error, and the audit."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "examples.aws_writes_once"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )

    assert done.returncode == 0, done.stderr
    assert "10 orders stored twice, 10 versions" in done.stdout
    assert "refused: s3.PutObject: this idempotency key was used" in done.stdout
    assert "ambiguous=True; not repeated: an update may add" in done.stdout
    assert "unguarded: s3.CreateMultipartUpload" in done.stdout
