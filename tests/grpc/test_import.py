"""Importing the room: what it needs, and what it says when that is missing."""

import subprocess
import sys


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )


def test_a_missing_grpcio_is_named_with_the_install_line():
    """Without grpcio the import fails with the line that mends it."""
    done = run("import sys; sys.modules['grpc'] = None; import resilience.grpc")

    assert done.returncode == 1
    assert "pip install 'resilience-middleware[grpc]'" in done.stderr


def test_the_asyncio_adapter_comes_with_the_room():
    """`resilience.grpc.aio` needs no import of its own."""
    done = run("import resilience.grpc; resilience.grpc.aio.intercept_channel")

    assert (0, "") == (done.returncode, done.stderr)
