"""Clients and registrations live on in children, whatever makes the children."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]


def start(way, url, stdin=subprocess.DEVNULL):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.botocore.forking", way, url],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *_extra()])},
    )


def _extra():
    return [path for path in [os.environ.get("PYTHONPATH")] if path]


def ended(process):
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()

    assert (process.returncode, err) == (0, "")
    return json.loads(out)


@pytest.mark.parametrize(
    ("way", "calls"),
    [("prefork", 8), ("locked", 1), ("fork", 2), ("spawn", 1), ("forkserver", 1)],
)
def test_children(way, calls, wire):
    """In each child each client has one owner, which makes its attempts and no more."""
    wire.default = 500

    assert [2] * calls == ended(start(way, wire.url))
    assert 2 * calls == wire.count


def test_a_fork_while_a_call_is_under_way(wire):
    """The child's calls and the parent's call under way do not disturb each other."""
    child_is_done = threading.Event()
    ready, go = os.pipe()
    waited = []

    def hold(handler):
        os.write(go, b"\n")
        waited.append(child_is_done.wait(30))
        return 500

    def release(handler):
        child_is_done.set()
        return 500

    wire.plans, wire.default = [hold, 500, release], 500
    with os.fdopen(ready) as stdin:
        process = start("busy", wire.url, stdin)
    try:
        assert [2, 2] == ended(process)
    finally:
        os.close(go)

    assert [True] == waited
    assert 4 == wire.count
