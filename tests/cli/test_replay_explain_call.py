"""`resilience explain-call`: one id from a log, and why that call ended as it did."""

import json

import pytest
from click.testing import CliRunner

from resilience.cli.commands import cli
from resilience.core.outcome import OK
from resilience.core.record import Diverted
from resilience.core.target import Facts
from resilience.telemetry import encoding
from tests.lab.replay.recordings import QUOTE, REFUSED, World, opened


POLICY = """version: 1
name: old
all:
  breaker: {kind: classic, min_calls: 5, failure_ratio: 0.5, open_for: 3s}
  retry_budget: off
  retry: {max_attempts: 3, initial_backoff: 100ms, jitter: none}
"""
LOST = REFUSED._replace(reached="maybe", message="reset\x1b", ids=(("peer", "a"),))


@pytest.fixture
def records(tmp_path, monkeypatch):
    """A recording; the ids of its calls in their order."""
    monkeypatch.chdir(tmp_path)
    world = World(POLICY, "records.jsonl")
    world.call(0.0, OK).call(1.0, REFUSED, OK).call(2.0, LOST, facts=Facts("none"))
    for at in range(5):
        world.call(3.0 + at * 0.4, REFUSED)
    path = world.record(host="web-1")
    lines = map(json.loads, path.read_text().splitlines())
    return path, [line["call_id"] for line in lines if line["record"] == "call"]


def explain(*words):
    return CliRunner().invoke(cli, ["explain-call", *map(str, words)])


def test_attempts(records):
    """Each attempt with its code, its cause and what was decided, in order."""
    path, ids = records
    title, terms, *lines = explain(ids[1], path).output.splitlines()

    assert title.startswith(f"rates/quote [{ids[1]}], 1970-01-01 01:40:01.000 UTC, ")
    assert title.endswith("host web-1")
    assert terms == "mode enforce, idempotency safe, no deadline"
    first = "attempt 1: UNAVAILABLE after 10ms (transport, reached: no)"
    assert [line.strip() for line in lines] == [
        f"+0.000s  {first}; retried after 100ms (retry)",
        "+0.110s  attempt 2: OK after 10ms; return: ok",
        "+0.120s  OK after 120ms",
    ]


def test_a_healthy_call(records):
    """A call that succeeded at once has one record, and is told all the same."""
    path, ids = records
    lines = explain(ids[0], path).output.splitlines()[2:]

    assert [line.split() for line in lines] == [
        ["+0.000s", "attempt", "1:", "OK"],
        ["+0.010s", "OK", "after", "10ms"],
    ]


def test_it_may_have_been_executed(records):
    """What is ambiguous is said, with the server's words made harmless, and its ids."""
    path, ids = records
    shown = explain(ids[2], path).output

    assert r"(transport, reached: maybe: reset\x1b), peer a; fail: idempotency" in shown
    assert "ended by idempotency; ambiguous: the server may have executed it" in shown
    assert "\x1b" not in shown


def test_on_what_evidence(records):
    """A refused call shows the moves of its breaker, and none of another target's."""
    path, ids = records
    other = '{"v":1,"record":"breaker","scope":"app:target=x","old":"closed",'
    other += '"new":"open","evidence":"","until":null,"now":1003.0}\n'
    head, rest = path.read_text().split("\n", 1)
    path.write_text(f"{head}\n{other}{rest}")
    shown = explain(ids[-1], path).output

    assert "breaker app:target=rates: closed -> open (" in shown
    assert "rejected: breaker-open (" in shown
    assert "target=x" not in shown


def test_files_that_were_put_aside(records, tmp_path):
    """Attempts may stand in another file than the end; bad lines are passed over."""
    path, ids = records
    lines = path.read_text().splitlines(keepends=True)
    place = next(at for at, line in enumerate(lines) if ids[1] in line)
    old = tmp_path / "records.jsonl.1"
    old.write_text("".join(lines[: place + 1]) + "{ broken\n")
    path.write_text(opened("web-1") + "".join(lines[place + 1 :]))
    wanted = explain(ids[1], old, path).output

    assert "attempt 1: UNAVAILABLE" in wanted
    assert "attempt 2: OK" in wanted
    assert "the recording stops before its end" in explain(ids[1], old).output


def test_an_answer_from_elsewhere(records):
    """Who was asked beside the target stands where it was asked."""
    path, ids = records
    asked = Diverted(
        ids[2], QUOTE, "fallback", "cached", "OK", "idempotency", 0.1, 1002.2
    )
    path.write_text(path.read_text() + encoding.line(asked))
    lines = explain(ids[2], path).output.splitlines()

    assert lines[-1].split() == ["+0.200s", "fallback", "to", "cached:", "OK"]


def test_json(records):
    """Programs get the records as they stand in the file."""
    path, ids = records
    data = json.loads(explain(ids[1], path, "--format", "json").output)

    assert (data["command"], data["id"]) == ("explain-call", ids[1])
    assert [one["number"] for one in data["call"]["attempts"]] == [1, 2]
    assert data["call"]["ended"]["first_code"] == "UNAVAILABLE"
    assert data["call"]["host"] == "web-1"


def test_it_is_not_there(records):
    """An id that no file has is exit code 1; a file that is not there is wrong use."""
    path, _ = records
    shown = explain("no\x1bne", path)
    assert (shown.exit_code, shown.output) == (1, "no call no\\x1bne in 1 file\n")
    data = json.loads(explain("none", path, "--format", "json").output)
    assert data["call"] is None
    assert explain("none", "nowhere").exit_code == 2
