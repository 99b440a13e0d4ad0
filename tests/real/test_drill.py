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


def run(path, *, policy="ours", folder=ROOT):
    """Exit code, and the outcome."""
    process = start(path, "--format", "json", policy=policy, folder=folder)
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


CLOUD = """
import boto3
import resilience
import resilience.botocore
from botocore.config import Config
from examples.servers.cloud import REGION, client_arguments, start_cloud
from examples.servers.supervisor import Supervisor

found = {}

def start():
    supervisor = Supervisor()
    cloud = start_cloud(supervisor)
    cloud.wait_ready()
    engine = resilience.PolicyEngine.from_yaml("policy.yaml")
    session = boto3.Session()
    resilience.botocore.register(session, engine)
    once = Config(retries={"total_max_attempts": 1})
    arguments = client_arguments(cloud.endpoint)
    found["s3"] = s3 = session.client("s3", config=once, **arguments)
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket="orders", CreateBucketConfiguration=where)

def put(number):
    found["s3"].put_object(Bucket="orders", Key=f"order-{number}", Body=b"x")

def count():
    there = found["s3"].list_objects_v2(Bucket="orders")
    return {"objects": there["KeyCount"]}
"""
CLOUD_POLICY = """
version: 1
name: drill
mode: {mode}
aws:
  all:
    breaker: off
    retry_budget: off
    retry: {{max_attempts: 5, initial_backoff: 20ms}}
    idempotency: keyed
"""
CLOUD_DRILL = """
version: 1
name: cloud
setup: clouds:start
run: clouds:put
verify: clouds:count
duration: 5s
window: 500ms
load: {rate: 20}
faults:
  - {kind: lost, ratio: 0.2, at: 1s, lasts: 2s, methods: [s3.PutObject]}
  - {kind: status, code: SlowDown, ratio: 0.05, at: 1s, lasts: 2s, targets: [s3]}
expect: [success >= 0.98, duplicates <= 0, recovery <= 1s]
"""


@pytest.mark.parametrize(("mode", "fails"), [("enforce", []), ("bypass", ["success"])])
def test_aws(mode, fails, tmp_path):
    """Writes whose answer is lost are found, the others repeated; bare ones fail."""
    (tmp_path / "clouds.py").write_text(CLOUD)
    (tmp_path / "policy.yaml").write_text(CLOUD_POLICY.format(mode=mode))
    (tmp_path / "cloud.yaml").write_text(CLOUD_DRILL)
    code, found = run("cloud.yaml", folder=tmp_path)

    figures = [text.split()[0] for text in found["fails"]]

    assert (code, figures) == (len(fails), fails), found
    assert found["injected"]["lost"] > 2
    assert found["figures"]["objects"] >= 100 * found["figures"]["success"]


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
