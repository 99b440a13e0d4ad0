"""`resilience replay`: what another policy would have decided, for people and CIs."""

import json
import subprocess
import sys

import pytest


pytest.importorskip("click")
pytest.importorskip("rich")

from click.testing import CliRunner

from resilience.cli.commands import cli
from resilience.core.outcome import OK
from tests.lab.replay.recordings import REFUSED, World, opened


OLD = """version: 1
name: old
all:
  breaker: off
  retry_budget: off
  retry: {max_attempts: 3, initial_backoff: 100ms, jitter: none}
"""


@pytest.fixture
def replay(tmp_path, monkeypatch):
    """Runs the command in a folder with a recording and two policies."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(OLD.replace("attempts: 3", "attempts: 2"))
    world = World(OLD, "records.jsonl")
    world.call(0.0, OK).call(1.0, REFUSED, REFUSED, OK).call(2.0, REFUSED).record()

    def run(*arguments):
        return CliRunner().invoke(cli, ["replay", *arguments])

    return run


def test_same_policy(replay):
    """Under the policy that was live nothing differs, and that is said."""
    shown = replay("records.jsonl", "--policy", "old.yaml")

    assert 0 == shown.exit_code, shown.output
    assert "3 calls of 1 process in 2.33s, under old" in shown.output
    assert "no call would have been decided otherwise" in shown.output
    assert "attempts: 7 known, 0 assumed, 0 unknown" in shown.output


def test_processes_of_a_host(replay, tmp_path):
    """Who shared what is said in the first line: processes, hosts, and the state."""
    path = tmp_path / "records.jsonl"
    path.write_text(opened("web-1") + path.read_text())
    (tmp_path / "new.yaml").write_text(OLD + "state: host\n")
    words = ("records.jsonl", "--policy", "new.yaml")
    found = json.loads(replay(*words, "--format", "json").output)

    assert "3 calls of 1 process on 1 host in 2.33s" in replay(*words).output
    assert "mode enforce, state host" in replay(*words).output
    assert {"web-1": 1} == found["records"]["hosts"]
    assert found["policy"]["state"] == "host"


def test_it_needs_no_simulator():
    """Processes of a host are played without the extra that simulations need."""
    code = "import sys; sys.modules['simpy'] = None; import resilience.lab.replay"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_differences(replay):
    """Both figures of each method, the calls that differ, and why."""
    shown = replay("records.jsonl", "--policy", "new.yaml")
    rows = [line.split() for line in shown.output.splitlines()]

    assert 0 == shown.exit_code, shown.output
    assert ["recorded", "3", "2", "7", "4", "1", "0", "0", "0"] in rows
    assert ["now", "3", "1", "5", "2", "2", "0", "0", "0"] in rows
    assert "denied: attempts-exhausted 1 -> 2" in shown.output
    assert "2 calls decided otherwise (2 on known attempts" in shown.output
    assert (
        "recorded: attempt 2 UNAVAILABLE after 10ms, retried after 200ms; "
        "now attempt 2 UNAVAILABLE after 10ms, fail: attempts-exhausted"
    ) in shown.output


def test_json(replay):
    """Programs get everything under stable keys, the same bytes each time."""
    words = ("records.jsonl", "--policy", "new.yaml", "--format", "json")
    shown = replay(*words, "--assert", "attempts <= recorded.attempts")
    data = json.loads(shown.output)

    assert list(data) == [
        "command",
        "ok",
        "policy",
        "records",
        "attempts",
        "calls",
        "bypassed",
        "totals",
        "methods",
        "breakers",
        "differences",
        "notes",
        "assertions",
    ]
    assert {"known": 5, "assumed": 0, "unknown": 0} == data["attempts"]
    assert {"fails-now": 1, "fewer-attempts": 1} == data["differences"]["by_kind"]
    assert [True] == [one["holds"] for one in data["assertions"]]
    again = replay(*words, "--assert", "attempts <= recorded.attempts")
    assert shown.output == again.output


def test_assertions_decide_the_exit_code(replay):
    """0 where all hold, 1 where one does not, with both figures."""
    words = ("records.jsonl", "--policy", "new.yaml")
    good = replay(*words, "--assert", "retries <= recorded.retries * 0.5")
    bad = replay(*words, "--assert", "ok >= recorded.ok", "--assert", "unknown <= 0")

    assert 0 == good.exit_code, good.output
    assert 1 == bad.exit_code
    assert "fails ok >= recorded.ok\n      1 against 2" in bad.output
    assert "holds unknown <= 0" in bad.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("records.jsonl", "--assert", "tries <= 1"), "there is no figure tries"),
        (("records.jsonl", "--assert", "ok <= grpc.ok"), "no grpc"),
        (("records.jsonl", "--assert", "ok"), "has not the form"),
        (("missing.jsonl",), "cannot read missing.jsonl"),
        (("records.jsonl", "--policy", "missing.yaml"), "cannot read missing.yaml"),
        ((), "Missing argument"),
    ],
)
def test_wrong_use(replay, words, said):
    """2, and what is wrong with what was asked."""
    shown = replay(*words)

    assert 2 == shown.exit_code
    assert said in shown.output


def test_bad_lines(replay, tmp_path):
    """1, and each bad line with its place; for programs the same as data."""
    (tmp_path / "bad.jsonl").write_text('{"v":1}\nnonsense\n' + "x\n" * 30)
    shown = replay("bad.jsonl", "records.jsonl")
    data = json.loads(replay("bad.jsonl", "--format", "json").output)

    assert 1 == shown.exit_code
    assert "bad.jsonl:1: no record" in shown.output
    assert "bad.jsonl:2: no JSON" in shown.output
    assert "and 12 more" in shown.output
    assert (False, 12) == (data["ok"], data["more_problems"])
    assert {"file": "bad.jsonl", "line": 2} == {
        key: data["problems"][1][key] for key in ("file", "line")
    }


def test_bad_policy(replay, tmp_path):
    """1, and every problem of the policy with its line."""
    (tmp_path / "bad.yaml").write_text("version: 1\nall: {retry: {max_attempts: 0}}\n")
    shown = replay("records.jsonl", "--policy", "bad.yaml")

    assert 1 == shown.exit_code
    assert "bad.yaml:2:" in shown.output


def test_text_of_servers_moves_no_terminal(replay, tmp_path):
    """What a record says is shown, not obeyed."""
    path = tmp_path / "records.jsonl"
    path.write_text(path.read_text().replace("UNAVAILABLE", "\\u001b[2J[red]X"))
    shown = replay("records.jsonl", "--policy", "new.yaml")

    assert 0 == shown.exit_code
    assert "\x1b" not in shown.output
    assert "[red]X" in shown.output
