"""A drill whose calls a program makes, in a process of its own."""

import sys
from pathlib import Path

import pytest

from resilience.drilling import VARIABLE
from resilience.lab import drill as lab


pytestmark = pytest.mark.real
CALLS = """
import sys, time
import grpc
import shopmodule
until = time.monotonic() + float(sys.argv[1])
while time.monotonic() < until:
    try:
        shopmodule.get()
    except grpc.RpcError:
        pass
    time.sleep(0.005)
sys.exit(int(sys.argv[2]))
"""
DRILL = """
version: 1
name: program
command: [{python}, calls.py, "{lasts}", "{code}"]
duration: 6s
window: 200ms
faults:
  - kind: status
    code: UNAVAILABLE
    ratio: {ratio}
    lasts: 5s
    targets: [cart]
expect: [success >= 0.95]
{more}
"""


@pytest.fixture
def program(write, tmp_path, monkeypatch):
    """`program(lasts, code=0, ratio=0.1)`: the file of an armed drill."""

    def make(lasts, code=0, *, ratio=0.1, mode="enforce", more=""):
        write(mode=mode)
        (tmp_path / "calls.py").write_text(CALLS)
        path = tmp_path / "program.yaml"
        text = DRILL.format(
            python=sys.executable, lasts=lasts, code=code, ratio=ratio, more=more
        )
        path.write_text(text)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv(VARIABLE, str(path))
        monkeypatch.setenv("PYTHONPATH", ":".join(filter(None, sys.path)))
        return str(path)

    return make


def test_its_calls_are_judged(program):
    """Every call of the program is an operation; it ends when the drill does."""
    found = lab.run(program(60))

    assert found.is_ok, found
    assert found.figures["calls"] > 50
    assert found.figures["amplification"] > 1.05
    assert found.injected["status"] > 10


def test_without_a_policy_it_fails(program):
    """The same program without a policy fails the drill; a condition stops it."""
    path = program(60, ratio=1.0, mode="bypass", more="stop_when: [success < 0.5]")
    found = lab.run(path)

    assert found.stopped.startswith("success < 0.5 holds")
    assert set(found.codes) == {"UNAVAILABLE"}


def test_a_program_that_ends_early(program):
    """A program that ends before the faults do leaves the drill unfinished."""
    path = Path(program(0.2, 3))
    long = path.read_text().replace("duration: 6s", "duration: 90s")
    path.write_text(long.replace("lasts: 5s", "lasts: 80s"))
    found = lab.run(str(path))

    assert found.stopped.startswith("the program ended after")
    assert "the program ended with 3" in found.notes
    assert not found.is_ok
