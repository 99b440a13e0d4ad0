"""`state: host` in a policy: engines share, survive forks, say what is wrong once."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from resilience import PolicyEngine
from resilience.core.record import Notice
from resilience.testing import CollectingSink


ROOT = Path(__file__).resolve().parents[2]
POLICY = """
version: 1
edition: "2026.11"
name: shop
state: {state}
all: {{attempt_timeout: 1s, breaker: {{kind: {kind}, scope: [target]}}}}
"""


@pytest.fixture
def engine(folder, resilience_clock):
    made = []

    def make(state="host", kind="adaptive"):
        sink = CollectingSink()
        text = POLICY.format(state=state, kind=kind)
        made.append(PolicyEngine.from_text(text, sinks=[sink], clock=resilience_clock))
        made[-1].heard = sink
        return made[-1]

    yield make
    for each in made:
        each.close()


def call(engine):
    return engine.call("app:rates/quote", lambda _: 1)


def told(engine):
    """What the engine said about the host's state."""
    notices = [each for each in engine.heard.records if isinstance(each, Notice)]
    return [each for each in notices if each.code.startswith("host-")]


def files(folder):
    """The files of cells."""
    return [*folder.rglob("*.v1")]


@pytest.mark.parametrize(
    ("state", "kind", "made"),
    [("process", "adaptive", 0), ("host", "classic", 1), ("host", "adaptive", 1)],
)
def test_a_file_is_made_where_something_is_shared(engine, folder, state, kind, made):
    """Only `state: host` makes it, whatever the breaker: for the budget."""
    call(engine(state, kind))

    assert len(files(folder)) == made
    assert any(folder.iterdir()) == bool(made)


def test_engines_count_each_other(engine, resilience_clock):
    """Each engine knows how many live on the host."""
    three = [engine() for _ in range(3)]
    for _ in range(12):
        for each in three:
            call(each)
        resilience_clock.advance(0.1)

    assert [each.snapshot()["processes"] for each in three] == [3, 3, 3]
    three[0].close()
    for _ in range(12):
        call(three[1])
        resilience_clock.advance(0.1)
    assert three[1].snapshot()["processes"] == 2


def test_the_reserve_of_retries_is_the_host_s(engine, resilience_clock):
    """Reserve and ratio are one pool: each sees what all calls of the host paid."""
    both = [engine(), engine()]
    for _ in range(12):
        for each in both:
            call(each)
        resilience_clock.advance(0.1)
    resilience_clock.advance(1.5)
    for _ in range(2):
        for each in both:
            call(each)
        resilience_clock.advance(0.1)
    balances = [each.snapshot()["scopes"][0]["retry_budget"][0] for each in both]

    assert balances == [15, 15]  # 10, and a fifth of each of 28 calls


def test_a_retry_of_one_is_taken_from_all(engine, resilience_clock):
    """What one process spends on retries its peers cannot spend, a second later."""

    def fail(_):
        raise ConnectionError

    one, other = engine(kind="classic"), engine(kind="classic")
    for _ in range(20):
        for each in (one, other):
            call(each)
        resilience_clock.advance(0.1)
    resilience_clock.advance(1.0)
    for each in (one, other):
        call(each)
    resilience_clock.advance(0.1)
    before = other.snapshot()["scopes"][0]["retry_budget"][0]
    with pytest.raises(ConnectionError):
        one.call("app:rates/quote", fail, idempotency="safe")
    resilience_clock.advance(1.1)
    after = other.snapshot()["scopes"][0]["retry_budget"][0]

    assert (before, after) == (18, 16)  # 10 and a fifth of 42 calls; two retries


def test_what_is_wrong_is_said_once(engine, folder, monkeypatch, resilience_clock):
    """Without a place for the file calls go on, and one notice says why."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(folder / "missing"))
    one = engine()
    for _ in range(100):
        assert call(one) == 1
        resilience_clock.advance(1.0)
    notices = told(one)

    assert [each.code for each in notices] == ["host-state"]
    assert "missing" in notices[0].message


def test_damage_in_use_is_said_once(engine, folder, resilience_clock):
    """A file that is replaced under a running engine is named in one notice."""
    one = engine()
    for at in range(40):
        assert call(one) == 1
        resilience_clock.advance(0.1)
        if at in {10, 25}:
            os.truncate(files(folder)[0], 100)
    notices = told(one)

    assert [each.code for each in notices] == ["host-state-replaced"]


def test_a_reload_changes_who_shares(folder, tmp_path, resilience_clock):
    """From `process` to `host` and back, a reload is enough."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.format(state="process", kind="adaptive"))
    with PolicyEngine.from_yaml(path, sinks=[], clock=resilience_clock) as one:
        call(one)
        found = [type(_rows(one)).__name__]
        for state in ("host", "process"):
            path.write_text(POLICY.format(state=state, kind="adaptive"))
            one.reload()
            call(one)
            found.append(type(_rows(one)).__name__)

    assert found == ["OwnRows", "HostRows", "OwnRows"]


def _rows(engine):
    (scope,) = engine._scopes
    (breaker,) = scope.breakers
    return breaker._rows


BEGIN = """
import json, multiprocessing, os, resilience
POLICY = {policy!r}
def engine():
    return resilience.PolicyEngine.from_text(POLICY)
def call(engine):
    engine.call("app:rates/quote", lambda _: 1)
    return engine._sharing._host.pulse(engine.now()).slot
"""


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            """
            made = engine()
            mine = call(made)
            read, write = os.pipe()
            if os.fork() == 0:
                os.write(write, bytes([call(made)]))
                os._exit(0)
            os.wait()
            theirs = os.read(read, 1)[0]
            assert (mine, theirs) == (0, 1), (mine, theirs)
            assert call(made) == 0
            assert call(engine()) == 1  # the child is dead: its place is free
            """,
            id="fork",
        ),
        pytest.param(
            """
            made = engine()
            call(made)
            told, tell = os.pipe()
            wait, go = os.pipe()
            if os.fork() == 0:
                os.close(go)
                os.write(tell, bytes([call(made)]))
                os.read(wait, 1)
                os._exit(0)
            assert os.read(told, 1)[0] == 1
            made.close()
            made = [engine(), engine()]
            # The child has its own place, and holds nothing of its parent's.
            assert [call(each) for each in made] == [0, 2]
            os.close(go)
            os.wait()
            """,
            id="a child that outlives its parent's slot",
        ),
        pytest.param(
            """
            context = multiprocessing.get_context("spawn")
            made = engine()
            call(made)
            child = context.Process(target=resilience.PolicyEngine)
            child.start()
            child.join()
            assert child.exitcode == 0
            """,
            id="spawn",
        ),
    ],
)
def test_processes_that_processes_start(folder, body):
    """After a fork the child has a place of its own; a spawned one begins anew."""
    code = BEGIN.format(policy=POLICY.format(state="host", kind="adaptive"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code + textwrap.dedent(body)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=ROOT,
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.real
def test_kills_at_random_moments(folder):
    """Processes that are killed at any instant leave nothing corrupt, stuck or lost."""
    done = subprocess.run(
        [sys.executable, ROOT / "tests/conformance/host_kills.py", "--short"],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "40 kills, 0 problems" in done.stdout
