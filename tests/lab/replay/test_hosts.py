"""Several processes of a host: under `state: host` they decide by one evidence."""

import json
import random

import pytest

from resilience import PolicyEngine, policy
from resilience.core.outcome import OK
from resilience.core.ticks import BAD, begin
from resilience.drivers.virtual import Reply, VirtualLoop
from resilience.lab.replay import machines
from resilience.state import host, member, rows
from resilience.telemetry import encoding
from tests.lab.replay.recordings import (
    QUOTE,
    REFUSED,
    SAFE,
    LoopClock,
    Wanting,
    World,
    opened,
)


PLAIN = """
version: 1
name: old
all:
  timeout: 5s
  attempt_timeout: 1s
  breaker: off
  retry_budget: off
  retry: {max_attempts: 1}
"""
SHARED = PLAIN.replace("breaker: off", "breaker: {kind: adaptive}")
SHARED = SHARED.replace("name: old", "name: new\nstate: host")
ALONE = SHARED.replace("state: host", "state: process")


@pytest.fixture
def dead(tmp_path):
    """Records two processes and a backend that dies: one asks often, one seldom."""

    def make(*hosts, second=(6.05, 6.45)):
        busy, rare = (
            World(PLAIN, tmp_path / f"records-{number}.jsonl", seed=number)
            for number in range(2)
        )
        for at in range(50):
            busy.call(at * 0.1, OK)
        for at in range(25):
            rare.call(at * 0.2, OK)
        busy.call(6.0, REFUSED).call(6.02, REFUSED).call(6.04, REFUSED)
        for at in second:
            rare.call(at, REFUSED)
        hosts = hosts or (None, None)
        return [
            one.record(host=name) for one, name in zip((busy, rare), hosts, strict=True)
        ]

    return make


def refused(found, path):
    """When calls of the process that wrote *path* were refused."""
    ids = {json.loads(line).get("call_id") for line in path.read_text().splitlines()}
    return [
        one.at_s
        for one in found.examples
        if one.kind == "rejected-now" and one.call_id in ids
    ]


def test_one_evidence_for_a_host(dead, play):
    """The second process is refused after the first's failures, not under `process`."""
    paths = dead("a", "a")

    assert refused(play(paths, SHARED), paths[1]) == [6.45]
    assert refused(play(paths, ALONE), paths[1]) == []


def test_other_hosts_know_nothing_of_it(dead, play):
    """Evidence stays on the machine where it was seen."""
    paths = dead("a", "b")
    found = play(paths, SHARED)

    assert {"a": 1, "b": 1} == found.as_dict()["records"]["hosts"]
    assert refused(found, paths[1]) == []


def test_the_lag(dead, play):
    """What a peer saw counts when the tick after its own is over, and not before."""
    early, late = dead("a", "a", second=(6.05, 6.18)), (6.05, 6.22)

    # Ticks last 0.1 s: what was seen in that of 6.0 s is judged from 6.2 s on.
    assert refused(play(early, SHARED), early[1]) == []

    paths = dead("a", "a", second=late)

    assert refused(play(paths, SHARED), paths[1]) == [6.22]


def test_one_file_of_two_processes(dead, play, tmp_path):
    """Files put one after the other are the same recording: ids tell who called."""
    paths = dead("a", "a")
    one = tmp_path / "all.jsonl"
    one.write_text("".join(path.read_text() for path in paths))

    assert (
        play(one, SHARED).as_dict()["breakers"]
        == (play(paths, SHARED).as_dict()["breakers"])
    )
    assert refused(play(one, SHARED), paths[1]) == [6.45]


def test_lines_that_name_their_host(dead, play, tmp_path):
    """Lines of two hosts that were mixed are told apart by the host that each names."""
    paths = dead("a", "b")
    heads, mixed = [], []
    for path, name in zip(paths, "ab", strict=True):
        head, *lines = map(json.loads, path.read_text().splitlines())
        heads.append(head)
        mixed += [{**line, "host": name} for line in lines]
    mixed.sort(key=lambda line: line["now"])
    # Clock of b: what is 1000 there is 1100 on a.
    heads[1]["clock_offset_s"] += 100
    one = tmp_path / "all.jsonl"
    one.write_text("".join(json.dumps(line) + "\n" for line in heads + mixed))

    found = play(one, PLAIN)

    assert {"a": 1, "b": 1} == found.as_dict()["records"]["hosts"]
    assert found.differences.total() == 0
    assert found.as_dict()["records"]["span_s"] == pytest.approx(106.46)


def test_a_host_that_is_no_name(dead, play):
    """A host that is not a text is told with its line."""
    path = dead("a", "a")[0]
    lines = path.read_text().splitlines()
    lines[3] = lines[3].replace("{", '{"host":7,', 1)
    path.write_text("\n".join(lines) + "\n")

    with pytest.raises(ValueError, match=r"jsonl:4: `host` must be a text, not 7"):
        play(path, PLAIN)


def test_no_host_is_known(dead, play):
    """Recordings that do not say where are read: each process alone, which is said."""
    paths = dead()
    found = play(paths, SHARED)
    (note,) = (one for one in found.notes if "no known host" in one)

    assert note.startswith("2 processes of no known host")
    assert refused(found, paths[1]) == []
    assert {"": 2} == found.as_dict()["records"]["hosts"]
    assert not any("host" in one for one in play(paths, ALONE).notes)
    assert not any("host" in one for one in play(paths[0], SHARED).notes)


def test_no_process_is_known(dead, play):
    """Calls whose ids name no process are played as one, and that is said."""
    paths = dead()
    for number, path in enumerate(paths):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if "call_id" in line:
                line["call_id"] = f"{number}{line['call_id'].rpartition('-')[2]}"
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = play(paths, SHARED)
    records = found.as_dict()["records"]

    assert (1, 80) == (records["processes"], records["nameless"])
    assert records["missing"] == 0
    (note,) = (one for one in found.notes if "no process in the id" in one)
    assert note.startswith("80 calls with")
    # One process saw all of it.
    assert refused(found, paths[1]) == [6.45]

    for number, path in enumerate(paths):
        path.write_text(opened("a", pid=number) + path.read_text())
    named = play(paths, SHARED).as_dict()["records"]

    assert (2, 0, {"a": 2}) == (named["processes"], named["nameless"], named["hosts"])


def test_the_machine_that_replays_takes_no_part(dead, play, tmp_path, monkeypatch):
    """A replay never joins the state of the host that it runs on."""
    state = tmp_path / "state"
    state.mkdir()
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(state))
    play(dead("a", "a"), SHARED)

    assert [*state.iterdir()] == []


def test_who_is_quiet_takes_no_part():
    """A process is counted while it calls, left out when quiet, and may come back."""
    now = 0.0
    machine = machines.Machine(lambda: now)
    one, two = (machine.process()("a") for _ in range(2))
    two.own[begin(two.own, 1) + BAD] = 7
    two.turn(now, 2, 0.1, 1.0)

    assert (1, True, 7) == (two.lag, two.is_shared(), one.total(1).bad)

    one.turn(machines.QUIET_S + 0.1, 21, 0.1, 1.0)
    two.own[begin(two.own, 20) + BAD] = 7

    assert (0, False, 0) == (one.lag, one.is_shared(), one.total(20).bad)

    two.turn(machines.QUIET_S + 0.2, 22, 0.1, 1.0)
    two.own[begin(two.own, 22) + BAD] = 5

    assert (True, 5) == (one.is_shared(), one.total(22).bad)


def test_as_on_a_real_host():
    """Lag and liveness are those of the file that processes of a host share."""
    assert machines.LAG == rows.LAG
    assert machines.QUIET_S == member.STALE_NS / 1e9
    assert machines.LOOK_S == host.PULSE_S


@pytest.mark.parametrize(("processes", "most"), [(1, 0), (3, 0.03)])
def test_engines_that_really_shared(processes, most, play, tmp_path, monkeypatch):
    """An outage seen through the host's file is decided nearly the same in memory."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path))
    text = SHARED.replace("retry_budget: off", "").replace("attempts: 1", "attempts: 3")
    loop, rng = VirtualLoop(1000.0), random.Random(1)
    made = [
        PolicyEngine.from_text(text, sinks=[Wanting()], clock=LoopClock(loop), seed=one)
        for one in range(processes)
    ]

    def transport(*_):
        ratio = 1 if 5 < loop.now - 1000 < 12 else 0.03
        return Reply(REFUSED if rng.random() < ratio else OK, rng.uniform(0.01, 0.1))

    def begin_call(engine):
        loop.start(engine.new_call(engine.bind(QUOTE), SAFE), transport)

    for engine in made:
        at = 1000.0
        while at < 1018:
            at += rng.expovariate(20)
            loop.at(at, lambda engine=engine: begin_call(engine))
    loop.run()
    shared = {engine.snapshot()["processes"] for engine in made}
    for engine in made:
        engine.close()
    path = tmp_path / "records.jsonl"
    path.write_text(opened("a") + "".join(map(encoding.line, loop.records)))

    found = play(path, text)

    assert {processes} == shared
    assert found.recorded.unsent["breaker-open"] > 50
    assert found.differences.total() <= most * found.contents.calls
    assert policy.load([("p", text)]).state == "host"
