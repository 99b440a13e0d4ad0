"""Whoever asks at 3 am sees the drill: in the snapshot, in `status`, in the log."""

import contextlib
import json
import logging
import math
import os
import subprocess
import sys

import grpc
import pytest
from click.testing import CliRunner

import resilience.grpc
from resilience import PolicyEngine
from resilience.cli.commands import cli
from resilience.core.target import Target
from resilience.drilling import VARIABLE, announcing, armed, live_drill, reading
from resilience.drilling.announcing import Announcement, announced
from resilience.drilling.seam import Seam
from resilience.drilling.shown import MOST_TOLD, told, words
from tests.drilling.drills import HEAD, Clock, drill, fault, seam


REFUSE = "kind: refuse, ratio: 1.0, lasts: 60s, methods: [shop.Cart/*]"
LATER = "kind: delay, delay: 2s, ratio: 0.05, at: 50s, lasts: 10s, targets: [s3]"
GET = Target(protocol="grpc", name="cart", service="shop.Cart", method="Get")


@pytest.fixture
def state(tmp_path, monkeypatch):
    """The host's shared state is a folder of this test's."""
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / f"resilience-{os.geteuid()}"


@pytest.fixture
def drilled(state, tmp_path, monkeypatch):
    """This process, started with a drill file in its environment."""
    path = tmp_path / "drill.yaml"
    path.write_text(f"{HEAD}faults:\n  - {{{REFUSE}}}\n  - {{{LATER}}}\n")
    monkeypatch.setenv(VARIABLE, str(path))
    yield path
    armed.disarm(str(path))


@pytest.fixture
def announce(state):
    """Announces a seam with these faults, until the test is over."""
    made = []

    def make(*faults, **given):
        found = seam(*faults, **given)
        made.append(found)
        found.announce()
        return found

    yield make
    for one in made:
        one.stop("the test is over")


class Notices:
    """A sink that keeps what it is told about drills."""

    def __init__(self):
        self.said = []

    def emit(self, record):
        if getattr(record, "code", "") == "drill":
            self.said.append(record.message)


def status(*words):
    return CliRunner().invoke(cli, ["status", *words]).output


def test_real_calls(drilled, caplog):
    """Snapshot, status, notice and log say which faults hit whom, and how often."""
    sink = Notices()
    with (
        caplog.at_level(logging.WARNING, logger="resilience.drill"),
        PolicyEngine(sinks=[sink]) as engine,
        grpc.insecure_channel("127.0.0.1:1") as bare,
    ):
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        with contextlib.suppress(grpc.RpcError):
            channel.unary_unary("/shop.Cart/Get")(b"", timeout=5)
        found = json.loads(json.dumps(engine.snapshot()))["drill"]
    armed_now = live_drill()
    assert armed_now is not None
    hit = armed_now.hits[0]
    (told_to_sinks,) = sink.said

    assert hit > 0
    assert (found["name"], found["file"]) == ("test", str(drilled))
    assert (found["state"], found["injected"]) == ("injecting", hit)
    assert [one["percent"] for one in found["faults"]] == [100.0, 5.0]
    assert [one["injected"] for one in found["faults"]] == [hit, 0]
    assert [one["is_on"] for one in found["faults"]] == [True, False]
    assert told_to_sinks == caplog.messages[0]
    assert told_to_sinks == (
        f"drill test is armed: it injects faults into real calls for 60 s ({drilled}): "
        "refuse to 100% of shop.Cart/*; delay 2s to 5% of s3"
    )

    first, where, now, later, *_ = status().splitlines()

    assert first.startswith("drill test: injects faults, ")
    assert first.endswith(f" s left, {hit} injected")
    assert where == f"  process {os.getpid()}, {drilled}"
    assert now == f"  refuse to 100% of shop.Cart/*, now: {hit} injected"
    assert later == "  delay 2s to 5% of s3, 50 s to 60 s: 0 injected"
    (seen,) = json.loads(status("--format", "json"))["drills"]
    assert {**seen, "elapsed_s": 0.0} == {**found, "elapsed_s": 0.0}


def test_no_drill(state):
    """Without a drill nothing is shown, written, or imported for it."""
    with PolicyEngine() as engine:
        assert engine.snapshot()["drill"] is None
    assert "drill" not in status()
    assert json.loads(status("--format", "json"))["drills"] == []
    assert not state.exists()


def test_what_is_not_drilled_costs_no_import():
    """A process without the variable has none of the drill's modules."""
    code = (
        "import sys, grpc, resilience, resilience.grpc as g\n"
        "engine = resilience.PolicyEngine()\n"
        "g.intercept_channel(grpc.insecure_channel('x'), engine, target='x')\n"
        "engine.snapshot()\n"
        "print([n for n in sys.modules if n.startswith('resilience.drilling.')])\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert shown.stdout == "[]\n"


def test_when_it_is_over(announce):
    """Once it is stopped the snapshot says why, and the host hears no more of it."""
    made = announce(REFUSE)
    with PolicyEngine(sinks=[]) as engine:
        made.attach(engine)
        made.pick(GET)
        assert len(announced()) == 1
        made.stop("by hand")
        found = engine.snapshot()["drill"]

    assert (found["state"], found["why"], found["injected"]) == ("over", "by hand", 1)
    assert announced() == ()


def test_its_time_is_told_without_a_call(announce):
    """What is over by its time or its date is not shown as on, though nobody calls."""
    clock = Clock()
    made = announce(REFUSE, clock=clock)
    old = announce(REFUSE, more='expires: "2020-01-01T00:00:00Z"\n')
    states = {one.why: one.state for one in announced()}

    assert states == {"": "injecting", "it has expired": "over"}

    old.stop("enough")
    made.begin(clock.now_s - 61)
    (one,) = announced()

    assert (one.state, one.why) == ("over", "its time is up")
    assert "over, its time is up, 0 injected" in status()

    made.begin(math.inf)
    (one,) = announced()

    assert (one.state, one.elapsed_s) == ("waiting", None)
    assert "has not begun" in status()


def test_its_file_is_gone(drilled, monkeypatch):
    """A drill whose file was removed or changed is over, though nobody calls."""
    assert armed.of_process(str(drilled)) is not None
    (one,) = announced()
    text = drilled.read_text()
    drilled.write_text(f"{text}# more\n")
    (changed,) = announced()
    drilled.unlink()
    (gone,) = announced()
    said = status()
    monkeypatch.setattr(announcing, "namespace", lambda: 1)
    (elsewhere,) = announced()

    assert (one.state, one.why) == ("injecting", "")
    assert {(one.state, one.why) for one in (changed, gone)} == {
        ("over", "its file is gone or was changed")
    }
    assert "drill test: over, its file is gone or was changed, 0 injected" in said
    # Of one that sees other files by these names nothing can be said.
    assert elsewhere.state == "injecting"


def test_lines_are_whole(announce, monkeypatch, tmp_path):
    """No line is cut into two where the terminal is narrow, however long its words."""
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / ("x" * (110 - len(str(tmp_path))) + ".yaml")
    path.write_text(f"{HEAD}faults:\n  - {{{REFUSE}}}\n")
    made = Seam(reading.drill(str(path)), str(path))
    made.announce()
    head, where, fault, *_ = status().splitlines()
    made.stop("enough")

    assert len(head) < 80
    assert where == f"  process {os.getpid()}, {path}"
    assert fault.startswith("  refuse to 100% of shop.Cart/*")


def test_each_hit_is_counted_at_once(announce):
    """Hits are counted by fault, and told with the attempt that is hit."""
    half = REFUSE.replace("1.0", "0.5")
    made = announce(half, REFUSE.replace("refuse", "lost"))
    for _ in range(40):
        made.pick(GET)
    (one,) = announced()

    assert one.injected == 40
    assert [fault.injected for fault in one.faults] == made.hits
    assert 8 < made.hits[0] < 32


# From 3.12 on a runner with threads of its own is warned of forks.
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
@pytest.mark.slow
def test_a_process_of_its_own_after_a_fork(announce):
    """A child tells of itself, from nothing; its end is not the parent's."""
    made = announce(REFUSE)
    made.pick(GET)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            made.renew()
            made.pick(GET)
            made.pick(GET)
            seen = {one.pid: one.injected for one in announced()}
            os.write(write, repr([seen.get(os.getpid()), len(seen)]).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    said = os.read(read, 100)
    os.close(read)
    os.close(write)

    assert said == b"[2, 2]"
    assert [(one.pid, one.injected) for one in announced()] == [(os.getpid(), 1)]


def test_who_died_is_not_shown(announce, state):
    """An announcement that no process holds is nobody's; the next drill removes it."""
    announce(REFUSE)
    (path,) = state.glob("*.drill")
    left = path.with_name("1-dead.drill")
    left.write_bytes(path.read_bytes())
    left.chmod(0o600)

    assert len(announced()) == 1
    announce(REFUSE)
    assert not left.exists()
    assert len(announced()) == 2


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]\n", b'{"v":2}\n\0\0', b'{"v":3}\n' + bytes(16)]
)
def test_what_makes_no_sense_is_left_out(announce, state, text):
    """Whatever stands in such a file, status goes on."""
    announce(REFUSE)
    (path,) = state.glob("*.drill")
    path.write_bytes(text)

    assert announced() == ()
    assert "nothing is shared" in status()


def test_names_speak_to_nobody_s_terminal(announce, state):
    """What another process wrote of its drill is escaped."""
    announce(REFUSE)
    (path,) = state.glob("*.drill")
    path.write_bytes(path.read_bytes().replace(b'"test"', b'"\\u001b[3"'))

    assert "\x1b" not in status()
    assert "\\x1b[3" in status()


def test_a_host_without_a_folder(monkeypatch, tmp_path):
    """Where nothing can be announced the drill injects as ever; nothing is raised."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESILIENCE_STATE_DIR", str(tmp_path / "file"))
    made = seam(REFUSE)
    made.announce()

    assert made.pick(GET) is not None
    assert announced() == ()
    made.stop("enough")
    assert isinstance(Announcement(made), Announcement)


def test_words():
    """A fault is named by what it does, how often and to whom."""
    line = "kind: status, code: SlowDown, ratio: 0.005, targets: [s3]"
    both = "kind: cut, methods: [shop.Cart/Get], targets: [cart, stock]"

    assert words(fault(line)) == "status SlowDown to 0.5% of s3"
    assert words(fault(both)) == "cut to 100% of shop.Cart/Get on cart, stock"
    assert told(drill(*[REFUSE] * (MOST_TOLD + 2)), "d").endswith("; and 2 more")
