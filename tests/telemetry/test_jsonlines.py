"""The sink that writes recordings: whole lines, bounded, and never in a call's way."""

import json
import logging
import os
import threading
from pathlib import Path

import pytest

from resilience import PolicyEngine
from resilience.core.outcome import Outcome
from resilience.core.record import AttemptEnded, CallEnded
from resilience.lab.replay.decoding import Lost, Opened, decode
from resilience.telemetry import jsonlines
from resilience.telemetry.jsonlines import JsonLinesSink
from resilience.telemetry.lines_file import LinesFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "records.jsonl"


@pytest.fixture
def sink(path):
    """A sink; it is closed after the test."""
    made = []

    def make(**given):
        made.append(JsonLinesSink(path, **given))
        return made[-1]

    yield make
    for one in made:
        one.close()


def lines_of(path):
    return [decode(line) for line in path.read_text().splitlines()]


def test_every_record_is_a_line(sink, path, records):
    """First who opened the file, then each record, in order."""
    made = sink()
    given = [records.attempt(), records.call(), records.decided()]
    for record in given:
        made.emit(record)
    made.close()

    opened, *found = lines_of(path)

    assert isinstance(opened, Opened)
    assert (opened.pid, given) == (os.getpid(), found)
    assert path.stat().st_mode & 0o777 == 0o600
    assert made.lost == 0


def test_an_engine_records_what_a_replay_needs(sink, path):
    """Healthy calls, facts and random numbers are in the recording."""
    engine = PolicyEngine.from_text(
        "version: 1\nname: t\nall: {breaker: off, retry: {initial_backoff: 1ms}}\n",
        sinks=[sink()],
    )
    outcomes = iter([None, ConnectionRefusedError("no"), None])

    def fn(_):
        error = next(outcomes)
        if error is not None:
            raise error

    engine.call("app:rates/quote", fn, idempotency="safe")
    engine.call("app:rates/quote", fn, idempotency="safe", timeout=3.0)
    engine.close()

    healthy, attempt, _, saved = [
        one for one in lines_of(path) if isinstance(one, (CallEnded, AttemptEnded))
    ]

    assert ("OK", 1, ()) == (healthy.outcome.code, healthy.attempts, healthy.draws)
    assert ("safe", None) == (healthy.facts.declared, healthy.facts.timeout_s)
    assert (2, 3.0) == (saved.attempts, saved.facts.timeout_s)
    assert len(saved.draws) >= 1
    assert attempt.wait_s > 0


def test_nobody_pays_who_does_not_record():
    """Without such a sink calls draw from the engine and keep nothing."""
    engine = PolicyEngine(sinks=[])

    assert not engine.fanout.wants_draws

    engine.close()


def test_a_full_queue_loses_records_and_says_so(sink, path, records, monkeypatch):
    """A call never waits for the disk: what has no place is counted, and told."""
    busy = threading.Event()
    write = LinesFile.write
    started = threading.Event()

    def slow(self, text, opened):
        started.set()
        busy.wait(10)
        return write(self, text, opened)

    monkeypatch.setattr(LinesFile, "write", slow)
    monkeypatch.setattr(jsonlines, "FLUSH_S", 0.0)
    made = sink(queue=5)
    made.emit(records.call())
    assert started.wait(10)
    for _ in range(20):
        made.emit(records.call())
    busy.set()
    made.close()

    found = lines_of(path)

    assert made.lost == 15
    assert [Lost(15)] == [one for one in found if isinstance(one, Lost)]
    assert len(found) == 1 + 6 + 1


@pytest.mark.parametrize("folder", ["missing", "a-file"])
def test_a_disk_that_refuses_fails_no_call(tmp_path, records, folder, caplog):
    """No folder, or none to write to: records are lost, counted and said once."""
    (tmp_path / "a-file").write_text("")
    made = JsonLinesSink(tmp_path / folder / "records.jsonl")
    with caplog.at_level(logging.WARNING, logger="resilience"):
        for _ in range(3):
            made.emit(records.call())
            made.close()

    assert made.lost == 3
    (said,) = caplog.records
    assert "1 records were not written" in said.getMessage()


def test_what_cannot_be_written_ends_nothing(sink, path, records):
    """A record that no JSON can hold is lost; those after it are written."""
    made = sink()
    made.emit(records.call(elapsed_s=float("nan")))
    made.emit("no record")
    made.emit(records.call())
    made.close()

    found = lines_of(path)

    assert records.call() in found
    assert made.lost == 2


def test_a_sink_can_be_used_after_close(sink, path, records):
    """`close` writes what there is; a record after it goes to the same file."""
    made = sink()
    made.emit(records.call())
    made.close()
    made.emit(records.attempt())
    made.close()
    made.close()

    found = [one for one in lines_of(path) if not isinstance(one, Opened)]

    assert found == [records.call(), records.attempt()]


def test_growth_is_bounded(sink, path, records):
    """At its limit a file is put aside; the oldest of those kept goes."""
    made = sink(max_bytes=2000, keep=2)
    for number in range(60):
        made.emit(records.call(call_id=f"c-{number:x}"))
        made.close()

    files = sorted(one.name for one in path.parent.iterdir())
    newest = [json.loads(line) for line in path.read_text().splitlines()]
    oldest = (path.parent / "records.jsonl.2").read_text().splitlines()

    assert files == ["records.jsonl", "records.jsonl.1", "records.jsonl.2"]
    assert all(one.stat().st_size <= 2000 for one in path.parent.iterdir())
    assert newest[-1]["call_id"] == "c-3b"
    assert all(json.loads(line) for line in oldest)


def test_each_process_has_a_file_of_its_own(path, records):
    """A name in use is left to who uses it; when it is free it is taken again."""

    def written(file, text):
        return file.write(text + "\n", "opened\n")

    options = {"max_bytes": 10_000, "keep": 1, "max_files": 2}
    first, second, third = (LinesFile(path, **options) for _ in range(3))

    assert written(first, "a")
    assert written(second, "b")
    assert not written(third, "c")
    assert ("records.jsonl", "records-2.jsonl") == (
        Path(first.path).name,
        Path(second.path).name,
    )

    first.close()

    assert written(third, "c")
    assert path.read_text() == "opened\na\nopened\nc\n"
    second.close()
    third.close()


def test_a_line_left_half_written_is_cut_off(path):
    """Who goes on with a dead process's file begins with a whole line."""
    path.write_text("whole\nhal")
    file = LinesFile(path, max_bytes=1000, keep=1, max_files=1)
    file.write("next\n", "opened\n")
    file.close()

    assert path.read_text() == "whole\nopened\nnext\n"


def test_a_write_that_fails_half_way_leaves_whole_lines(path, monkeypatch):
    """A disk that fills up in the middle of a line loses that line only."""
    file = LinesFile(path, max_bytes=1000, keep=1, max_files=1)
    file.write("first\n", "opened\n")
    write = os.write

    def full(handle, data):
        write(handle, bytes(data)[:3])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        file.write("second\n", "opened\n")
    monkeypatch.undo()
    file.write("third\n", "opened\n")
    file.close()

    assert path.read_text() == "opened\nfirst\nopened\nthird\n"


def test_links_are_not_followed(path, tmp_path):
    """A link somebody else put there leads nowhere."""
    (tmp_path / "secret").write_text("secret")
    path.symlink_to(tmp_path / "secret")
    file = LinesFile(path, max_bytes=1000, keep=1, max_files=1)

    with pytest.raises(OSError, match="symbolic links"):
        file.write("line\n", "opened\n")

    assert (tmp_path / "secret").read_text() == "secret"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_child_of_a_fork_writes_its_own_file(sink, path, records, monkeypatch):
    """What waits in the queue is the parent's; the child takes the next name."""
    written = threading.Event()
    write = LinesFile.write

    def told(self, text, opened):
        try:
            return write(self, text, opened)
        finally:
            written.set()

    monkeypatch.setattr(LinesFile, "write", told)
    monkeypatch.setattr(jsonlines, "FLUSH_S", 0.0)
    made = sink()
    engine = PolicyEngine(sinks=[made])
    made.emit(records.call())
    assert written.wait(10)
    monkeypatch.setattr(jsonlines, "FLUSH_S", 60.0)
    made.emit(records.call())
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            made.emit(records.attempt())
            made.close()
            os.write(writer, made.path.encode())
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    os.close(writer)
    theirs = os.read(reader, 1000).decode()
    os.close(reader)
    made.close()
    engine.close()

    mine = [one for one in lines_of(path) if not isinstance(one, Opened)]
    opened, *found = lines_of(path.parent / Path(theirs).name)

    assert mine == [records.call(), records.call()]
    assert (child, [records.attempt()]) == (opened.pid, found)


def test_facts_of_an_outcome_are_kept(sink, path, records):
    """What decides is all there; the text of a server stays on its line."""
    hostile = Outcome(
        "X", "overload", "no", pushback_s=2.0, message="a\nb\x1b[2J\u2029"
    )
    made = sink()
    made.emit(records.call(hostile))
    made.close()

    _, found = lines_of(path)

    assert found.outcome == hostile
