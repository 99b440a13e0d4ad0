"""Recordings as they are found: cut off, gzipped, of many processes, wrong."""

import gzip
import json
import random

import pytest

from resilience import PolicyEngine, policy
from resilience.core.outcome import OK, Outcome
from resilience.core.record import (
    AttemptEnded,
    BreakerChanged,
    CallEnded,
    Decided,
    Diverted,
    Notice,
)
from resilience.core.served import Served
from resilience.core.target import Facts, Target
from resilience.lab.replay import RecordsError, replay
from resilience.lab.replay.decoding import decode
from resilience.lab.replay.playing import play as play_whole
from resilience.lab.replay.sorting import Lines, Sorter
from resilience.telemetry import encoding
from tests.lab.replay.recordings import REFUSED


PLAIN = """
version: 1
name: old
all:
  breaker: off
  retry_budget: off
  retry: {max_attempts: 3, initial_backoff: 100ms, jitter: none}
"""


@pytest.fixture
def path(world):
    return (
        world(PLAIN)
        .call(0.0, OK)
        .call(1.0, REFUSED, REFUSED, OK)
        .call(2.0, REFUSED, OK)
        .record()
    )


@pytest.mark.parametrize(
    "record",
    [
        CallEnded(
            "c-1f",
            Target(protocol="aws", name="s3", service="s3", method="GetObject"),
            Outcome("SlowDown", "overload", "no", pushback_s=1.5, ids=(("a", "b"),)),
            "attempts-exhausted",
            3,
            1,
            "SlowDown",
            0.1,
            0.01,
            ambiguous=False,
            mode="enforce",
            idempotency="safe",
            timeout_s=None,
            now=12.125,
            facts=Facts("safe", deadline_at=14.5, criticality="critical"),
            draws=(0.1, 1 / 3),
            commits=((12.1, True),),
        ),
        AttemptEnded(
            "c-1f",
            Target(
                protocol="aws",
                name="s3",
                service="s3",
                method="GetObject",
                labels=(("bucket", "orders"),),
            ),
            1,
            Outcome("X\u2028\x1b[31m", message='"\\\n'),
            0.1,
            "retry",
            "retry",
            0.1,
            None,
            "enforce",
            3.0,
            7.5,
        ),
        Decided(
            "c-1",
            Target(protocol="app", name="a", service="a", method="b"),
            "retry",
            "fail",
            "retry-budget",
            "",
            0.0,
            1.0,
        ),
        Diverted(
            "c-1",
            Target(protocol="app", name="a", service="a", method="b"),
            "fallback",
            "cache",
            "OK",
            "deadline",
            0.1,
            1.0,
        ),
        BreakerChanged("app:target=a", "closed", "open", "3 of 4 failed", 5.5, 1.0),
        Notice("policy", "text", 1.0),
        Served("c-1", "shop.Cart/Get", "OK", "ok", 0.1, None, None, 0, "", 1.0),
    ],
    ids=lambda record: type(record).__name__,
)
def test_every_record_survives_its_line(record):
    """What is written is what is read, to the last bit, on one line of ASCII."""
    line = encoding.line(record)

    assert decode(line) == record
    assert line.isascii()
    assert line.index("\n") == len(line) - 1


def test_bad_lines_are_all_told(path, play):
    """Each bad line is told with file, line and reason, and nothing is played."""
    lines = path.read_text().splitlines()
    call = json.loads(lines[0])
    wrong = [
        "{",
        "[]",
        json.dumps({**call, "now": "noon"}),
        json.dumps({**call, "now": 1e999}).replace("Infinity", "1e999"),
        json.dumps({key: value for key, value in call.items() if key != "call_id"}),
        json.dumps({**call, "outcome": {"code": "OK", "kind": "fine"}}),
        json.dumps({**call, "target": {**call["target"], "protocol": "soap"}}),
        '{"v":1,"record":"call","now":NaN}',
        "\xff",
    ]
    path.write_bytes("\n".join([lines[0], *wrong, lines[-1], ""]).encode("latin-1"))

    with pytest.raises(RecordsError) as caught:
        play(path, PLAIN)

    told = [(problem.line, problem.message) for problem in caught.value.problems]
    assert [line for line, _ in told] == [*range(2, 2 + len(wrong))]
    parts = [
        "no JSON",
        "no record",
        "`now` must be a number",
        "`now` must be a finite number",
        "`call_id` is missing",
        "`outcome.kind` must be ok | transport",
        "`target.protocol` must be grpc, aws or app",
        "NaN is no number",
        "can't decode byte 0xff",
    ]
    for (_, message), part in zip(told, parts, strict=True):
        assert part in message
    assert f"{path}:2: no JSON" in str(caught.value)


def test_a_flood_of_bad_lines_is_told_in_part(path, play):
    """Twenty are told; of the others the number is."""
    path.write_text("nonsense\n" * 50)

    with pytest.raises(RecordsError) as caught:
        play(path, PLAIN)

    assert (20, 30) == (len(caught.value.problems), caught.value.more)


def test_a_last_line_that_was_cut_off_is_let_go(path, play):
    """Whoever was killed while writing left half a line; that is said."""
    whole = play(path, PLAIN)
    data = path.read_bytes()
    path.write_bytes(data + data.splitlines()[0][:50])

    found = play(path, PLAIN)

    place = f"{path}:{whole.contents.lines + 1}"
    assert [place] == found.contents.cut_off
    assert any(place in note for note in found.notes)
    assert found.recorded.as_dict() == whole.recorded.as_dict()


def test_a_last_line_without_its_end_counts(path, play):
    """A last line that lacks only its end is a line."""
    path.write_bytes(path.read_bytes().rstrip(b"\n"))

    found = play(path, PLAIN)

    assert (3, []) == (found.contents.calls, found.contents.cut_off)


def test_gzip(path, play, tmp_path):
    """A gzipped file gives the same, and one that was cut off is said to be."""
    packed = tmp_path / "records.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))

    assert (
        play(packed, PLAIN).recorded.as_dict() == play(path, PLAIN).recorded.as_dict()
    )

    noise = random.Random(1).randbytes(200_000).hex()
    more = encoding.line(Notice("noise", noise, 1.0)).encode()
    data = gzip.compress(path.read_bytes() + more)
    packed.write_bytes(data[: len(data) // 2])
    found = play(packed, PLAIN)

    assert (3, 1) == (found.contents.calls, len(found.contents.cut_off))


def test_another_version_is_refused(path, play):
    """Lines of a format that this release does not know are refused, once a file."""
    path.write_text(path.read_text().replace('"v":1', '"v":2'))

    with pytest.raises(RecordsError, match="record of version 2, this release reads 1"):
        play(path, PLAIN)
    with pytest.raises(RecordsError) as caught:
        play(path, PLAIN)

    assert (1, 0) == (len(caught.value.problems), caught.value.more)


def test_newer_fields_and_kinds_are_let_pass(path, play):
    """A newer release may say more: fields are ignored, kinds are said."""
    whole = play(path, PLAIN)
    text = path.read_text().replace('"v":1', '"v":1,"colour":{"of":["sky"]}')
    path.write_text(text + '{"v":1,"record":"tide","high":true}\n')

    found = play(path, PLAIN)

    assert {"tide": 1} == found.contents.unknown_kinds
    assert found.differences.total() == 0
    assert found.recorded.as_dict() == whole.recorded.as_dict()


def test_nothing_recorded(tmp_path, play):
    """A file without a single call is no recording."""
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")

    with pytest.raises(RecordsError, match="no call is recorded here"):
        play(empty, PLAIN)


def test_calls_that_left_no_record_are_counted(path, play):
    """Gaps in the numbers of calls, and a start in the middle, are told."""
    lines = path.read_text().splitlines(keepends=True)
    calls = [line for line in lines if '"record":"call"' in line]
    path.write_text("".join(line for line in lines if line != calls[1]))
    found = play(path, PLAIN)

    assert (1, 0, 1) == (
        found.contents.missing,
        found.contents.begun_before,
        found.contents.unfinished,
    )

    path.write_text("".join(line for line in lines if line != calls[0]))
    found = play(path, PLAIN)

    assert (0, 1) == (found.contents.missing, found.contents.begun_before)
    assert any("start from nothing" in note for note in found.notes)


def test_an_attempt_without_its_record_is_assumed(path, play):
    """A call that lacks an attempt's record is played, and not called known."""
    lines = path.read_text().splitlines(keepends=True)
    first = next(line for line in lines if '"record":"attempt"' in line)
    path.write_text("".join(line for line in lines if line != first))

    found = play(path, PLAIN)

    assert found.contents.not_whole == 1
    assert found.calls["assumed"] == 1


def test_what_does_not_fit_into_memory(world, play):
    """However little is held at once, calls come in the order of their arrival."""
    busy = world(PLAIN)
    for number in range(60):
        # The later it arrives the sooner it ends: recorded in the opposite order.
        busy.call(number * 0.01, (OK, 5.0 - number * 0.05))
    path, table = busy.record(), policy.load([("new.yaml", PLAIN)])

    little = play_whole([path], table, in_memory=2000, most_ahead=3)
    whole = replay([path], table)

    assert little.as_dict() == whole.as_dict()
    assert whole.contents.calls == 60


def test_sorting():
    """Sorted runs on disk and what is still in memory are merged; ties by number."""
    given = [
        Lines(at, order, 0.0, "a\nb", "\x1e", (f"line {at} {order}",))
        for at, order in [(2.0, 1), (1.0, 3), (1.0, 2), (0.1 + 0.2, 9), (5e9, 0)]
    ]
    with Sorter(in_memory=20) as sorter:
        for one in given:
            sorter.add(one)

        assert sorted(given) == [*sorter]


def test_processes_keep_their_own_state(world, play, tmp_path):
    """Files of several processes are one recording; a breaker is a process's own."""
    breaking = PLAIN.replace(
        "breaker: off",
        "breaker: {kind: classic, min_calls: 6, failure_ratio: 0.5, open_for: 3s}",
    )
    paths = []
    for number in range(2):
        busy = world(PLAIN, seed=number)
        for at in range(5):
            busy.call(at + number * 0.001, REFUSED)
        paths.append(busy.record(tmp_path / f"records-{number}.jsonl"))

    found = play(paths, breaking.replace("max_attempts: 3", "max_attempts: 1"))

    assert (2, 10) == (len(found.contents.processes), found.contents.calls)
    # Five failures each: together they would have opened it.
    assert found.replayed.unsent == {}


def test_machines_with_other_clocks(path, world, play, tmp_path):
    """Monotonic clocks of two machines are brought together by the time of day."""
    there = world(PLAIN).call(0.5, OK, facts=Facts(deadline_at=1003.0))
    other = there.record(tmp_path / "other.jsonl")
    for file, host, offset in ((path, "a", 5000.0), (other, "b", 5100.0)):
        opened = encoding.own_line(
            encoding.OPENED, pid=1, host=host, clock_offset_s=offset
        )
        file.write_text(opened + file.read_text())

    found = play([path, other], PLAIN)

    assert found.differences.total() == 0
    assert found.attempts["assumed"] == 0
    # The other one's call came at 1000.5 of a clock that is 100 s behind.
    assert found.as_dict()["records"]["span_s"] == pytest.approx(100.51)


def test_records_of_the_engine_alone(tmp_path):
    """What `PolicyEngine` numbers its calls with is what gaps are found by."""
    engine = PolicyEngine(sinks=[])
    target = Target(protocol="app", name="a", service="a", method="b")
    calls = [engine.new_call(engine.bind(target)) for _ in range(17)]
    engine.close()

    from resilience.lab.replay.recorded import number_of, process_of

    assert [number_of(call.id) for call in calls] == [*range(1, 18)]
    assert len({process_of(call.id) for call in calls}) == 1
