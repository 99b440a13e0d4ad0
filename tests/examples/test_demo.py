"""The demo keeps its promise, ends by itself, and leaves nothing behind."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from examples.demo import plan, show
from examples.servers.supervisor import ROOT
from examples.traffic import Tally


COMMAND = [sys.executable, "-m", "examples.demo", "--quick"]


def row(way, kind, *, failed=0, late=0, duplicates=0):
    sums = Tally(calls=10, failed=failed, late=late, p50_s=0.001, p99_s=0.1)
    return plan.Row(
        protocol="grpc",
        way=way,
        kind=kind,
        tally=sums,
        duplicates=duplicates,
        attempts=12,
    )


@pytest.mark.parametrize("kind", ["safe", "keyed"])
@pytest.mark.parametrize("broken", ["failed", "late", "duplicates"])
def test_broken_promise_is_found(kind, broken):
    """One failed, late or doubled safe or keyed call of ours breaks the promise."""
    assert row("resilience", kind, **{broken: 1}).promise_broken
    assert not row("resilience", kind).promise_broken
    assert not row("bare", kind, **{broken: 1}).promise_broken


def test_unrepeatable_calls_may_fail_but_not_double():
    """A call that cannot be repeated may fail; its duplicate breaks the promise."""
    assert not row("resilience", "non-idempotent", failed=5).promise_broken
    assert row("resilience", "non-idempotent", duplicates=1).promise_broken


def test_reading_is_one_sentence():
    """The result is summed up for each way."""
    rows = [row("bare", "safe", failed=3), row("resilience", "safe")]

    assert show.reading(rows) == (
        "bare: 3 of 10 safe and keyed calls failed, 0 calls were late, 0 effects were "
        "duplicates; resilience: 0 of 10 safe and keyed calls failed, 0 calls were "
        "late, 0 effects were duplicates."
    )


def cells(output, way):
    """The rows of *way*: kind to calls, failed, late, twice."""
    found = re.findall(
        rf"^ {way} +(safe|keyed|non-idempotent) +(\d+) +(\d+) +(\d+) +(\d+) ",
        output,
        re.MULTILINE,
    )
    return {kind: tuple(map(int, figures)) for kind, *figures in found}


def run_demo(*flags):
    return subprocess.run(
        [*COMMAND, *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=55,
    )


@pytest.mark.real
def test_grpc_half():
    """Over gRPC, bare calls fail; ours do not, and nothing happens twice."""
    done = run_demo("--protocol", "grpc", "--way", "bare", "--way", "resilience")
    bare, ours = cells(done.stdout, "bare"), cells(done.stdout, "resilience")

    assert done.returncode == 0, done.stdout + done.stderr
    assert bare["safe"][1] > 0
    assert ours["safe"] == ours["keyed"] == (80, 0, 0, 0)
    assert ours["non-idempotent"][2:] == (0, 0)


@pytest.mark.real
def test_aws_half():
    """Over S3 and DynamoDB, ours neither fail nor repeat what counts twice."""
    done = run_demo("--protocol", "aws", "--way", "resilience")
    ours = cells(done.stdout, "resilience")

    assert done.returncode == 0, done.stdout + done.stderr
    assert ours["safe"] == ours["keyed"] == (30, 0, 0, 0)
    assert ours["non-idempotent"][2:] == (0, 0)


def children(pid):
    """The process ids of the children of *pid*."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(text) for text in path.read_text().split()]
    return found


@pytest.mark.real
@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_stopped_demo_leaves_nothing(number, status):
    """Ctrl-C and SIGTERM end the demo within seconds, servers included."""
    demo = subprocess.Popen(
        [*COMMAND, "--way", "bare"], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    with demo:
        give_up = time.monotonic() + 20
        # moto, its proxy and the shop are up: calls are being made.
        while len(servers := children(demo.pid)) < 3:
            assert demo.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.05)
        time.sleep(1.0)
        demo.send_signal(number)
        demo.wait(15)

    assert demo.returncode == status
    assert not [pid for pid in servers if Path(f"/proc/{pid}").exists()]
