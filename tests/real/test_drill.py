"""The drill that is shown, against the example shop in a process of its own.

It is an honest check only if it fails without a policy, and with a policy that says
what is not true.
"""

import json
import os
import signal
import subprocess
import sys

import pytest

from examples.servers.supervisor import ROOT


pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]
DRILL = "examples/drill.yaml"


def start(path, *words, policy="ours", folder=ROOT):
    environment = {
        **os.environ,
        "RESILIENCE_DRILL": path,
        "SHOP_POLICY": policy,
        "PYTHONPATH": str(ROOT),
        "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}",  # the drill says `python`
    }
    return subprocess.Popen(
        [sys.executable, "-m", "resilience", "drill", path, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(path, *, policy="ours"):
    """Exit code, and the outcome."""
    process = start(path, "--format", "json", policy=policy)
    shown, complaints = process.communicate(timeout=100)

    assert shown, complaints
    found = json.loads(shown)
    found["fails"] = [v["text"] for v in found["verdicts"] if not v["holds"]]
    return process.returncode, found


def test_with_a_policy_it_passes():
    """Answers are lost, calls are refused: every order is executed exactly once."""
    code, found = run(DRILL)

    assert (code, found["fails"]) == (0, [])
    assert found["injected"]["lost"] > 5
    assert found["figures"]["executed"] >= found["figures"]["calls"]


def test_without_a_policy_it_fails():
    """Bare calls meet the faults: too many fail."""
    code, found = run(DRILL, policy="bare")

    assert code == 1
    assert "success >= 0.99" in found["fails"]


def test_with_a_wrong_policy_it_fails():
    """A policy that calls an order harmless gets all of them through, some twice."""
    code, found = run(DRILL, policy="wrong")

    assert code == 1
    assert found["figures"]["success"] >= 0.99
    assert found["figures"]["duplicates"] > 0
    assert "duplicates <= 0" in found["fails"]


def test_a_program_of_its_own():
    """The calls of a program are judged as those of a function are."""
    code, found = run("examples/drill_program.yaml")

    assert (code, found["fails"]) == (0, [])
    assert found["injected"]["delay"] > 3


CALLS = """
def call(number):
    if not number:
        with open("began", "w") as told:
            told.write("x")
"""
LONG = """
version: 1
name: long
run: calls:call
duration: 60s
load: {rate: 1}
faults:
  - {kind: lost, ratio: 1.0, lasts: 60s, targets: [cart]}
"""


def test_ctrl_c_ends_it_at_once(tmp_path):
    """Ctrl-C stops faults and load; the verdict of what was seen is not passed."""
    (tmp_path / "calls.py").write_text(CALLS)
    (tmp_path / "long.yaml").write_text(LONG)
    os.mkfifo(tmp_path / "began")
    process = start("long.yaml", "--format", "json", folder=tmp_path)
    (tmp_path / "began").read_text()  # blocks until there is a call
    process.send_signal(signal.SIGINT)
    shown, complaints = process.communicate(timeout=30)

    assert process.returncode == 1, complaints
    assert json.loads(shown)["stopped"] == "Ctrl-C"
