"""Whom a live drill hits, when it ends, and that it cannot come on by itself."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from resilience.core.target import Target
from resilience.drilling import VARIABLE, armed, live_drill, marks
from resilience.drilling.seam import Seam, answered, hits
from tests.drilling.drills import HEAD, Clock, drill, fault, seam


GET = "kind: lost, ratio: 1.0, at: 10s, lasts: 5s, methods: [shop.Cart/Get]"


def grpc_target(name="cart", method="Get"):
    return Target(protocol="grpc", name=name, service="shop.Cart", method=method)


def aws_target(service="s3", method="PutObject"):
    return Target(protocol="aws", name=service, service=service, method=method)


@pytest.mark.parametrize(
    ("line", "target", "is_hit"),
    [
        ("kind: lost, methods: [shop.Cart/Get]", grpc_target(), True),
        ("kind: lost, methods: [shop.Cart/*]", grpc_target(), True),
        ("kind: lost, methods: [shop.Cart/Put]", grpc_target(), False),
        ("kind: lost, methods: [shop.Ca/*]", grpc_target(), False),
        ("kind: lost, targets: [cart]", grpc_target(), True),
        ("kind: lost, targets: [stock]", grpc_target(), False),
        ("kind: lost, targets: [cart], methods: [a.B/*]", grpc_target(), False),
        ("kind: lost, methods: [s3.PutObject]", aws_target(), True),
        ("kind: lost, methods: [s3.*]", aws_target(), True),
        ("kind: lost, methods: [sqs.*]", aws_target(), False),
        ("kind: lost, targets: [s3]", aws_target(), True),
        ("kind: status, code: SlowDown, targets: [s3]", aws_target(), True),
        ("kind: status, code: UNAVAILABLE, targets: [s3]", aws_target(), False),
        ("kind: status, code: SlowDown, targets: [cart]", grpc_target(), False),
    ],
)
def test_whom_a_fault_hits(line, target, is_hit):
    """A fault hits the targets and methods that it names, of its own protocol."""
    assert hits(fault(line), target) is is_hit


def test_a_fault_has_its_time():
    """A fault hits from its beginning to its end, and never outside."""
    clock = Clock()
    made = seam(GET, clock=clock)
    hit = []
    for at in (0, 9.9, 10, 14.9, 15, 30):
        clock.now_s = made.began + at
        hit.append(made.pick(grpc_target()) is not None)

    assert hit == [False, False, True, True, False, False]


def test_a_share_of_the_attempts():
    """The ratio is the share that is hit, drawn from the drill's seed."""
    line = "kind: lost, ratio: 0.25, lasts: 10s, methods: [shop.Cart/Get]"
    one, same = seam(line), seam(line)
    drawn = [one.pick(grpc_target()) is not None for _ in range(2000)]
    again = [same.pick(grpc_target()) is not None for _ in range(2000)]

    assert drawn == again
    assert 0.22 < sum(drawn) / 2000 < 0.28


def test_each_process_draws_by_itself():
    """After a fork the child hits other calls than its parent, as many of them."""
    line = "kind: lost, ratio: 0.25, lasts: 10s, methods: [shop.Cart/Get]"
    parent, child = seam(line), seam(line)
    child.renew()
    drawn = [parent.pick(grpc_target()) is not None for _ in range(500)]
    others = [child.pick(grpc_target()) is not None for _ in range(500)]

    assert drawn != others
    assert 80 < sum(others) < 170


def test_the_end_is_for_good():
    """When its time is up a drill is over, and stays so whatever the clock says."""
    clock = Clock()
    made = seam(GET, clock=clock)
    clock.now_s += 60
    assert made.pick(grpc_target()) is None
    clock.now_s -= 48

    assert made.pick(grpc_target()) is None
    assert made.is_over == "its time is up"


def test_it_expires():
    """Past `expires` nothing is injected, whenever the process was started."""
    at = datetime(2026, 11, 30, 18, tzinfo=UTC)
    line = "kind: lost, ratio: 1.0, lasts: 10s, methods: [shop.Cart/Get]"
    found = drill(line, more='expires: "2026-11-30T18:00:00Z"\n')
    before = Seam(found, wall=lambda: at - timedelta(seconds=1))
    after = Seam(found, wall=lambda: at)

    assert before.pick(grpc_target()) is not None
    assert after.pick(grpc_target()) is None
    assert after.is_over == "it has expired"


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_its_file_stops_it(tmp_path, how):
    """Removing or changing the file ends the drill within a second."""
    path = tmp_path / "drill.yaml"
    path.write_text("one")
    clock = Clock()
    made = seam(GET.replace("at: 10s, ", ""), clock=clock, path=str(path))
    assert made.pick(grpc_target()) is not None
    path.unlink()
    if how == "changed":
        path.write_text("another")
    assert made.pick(grpc_target()) is not None
    clock.now_s += 1.0

    assert made.pick(grpc_target()) is None
    assert made.is_over == "its file is gone or was changed"


def test_before_it_begins():
    """A drill that has yet to begin hits nobody."""
    made = seam(GET.replace("at: 10s, ", ""))
    made.begin(math.inf)

    assert made.pick(grpc_target()) is None
    assert not made.is_over


def test_stopping_wakes_who_waits():
    """Stopping lets go of everybody who waits, once, and who comes later at once."""
    made = seam(GET)
    woken = []
    undo = made.wake_at_stop(lambda: woken.append("first"))
    made.wake_at_stop(lambda: woken.append("second"))
    undo()
    made.stop("by hand")
    made.stop("again")
    made.wake_at_stop(lambda: woken.append("late"))

    assert woken == ["second", "late"]
    assert made.is_over == "by hand"


def test_a_connection_is_down_while_all_are_refused():
    """Only a fault that refuses every attempt shows in the channel's state."""
    every = seam("kind: refuse, ratio: 1.0, lasts: 10s, targets: [cart]")
    some = seam("kind: refuse, ratio: 0.5, lasts: 10s, targets: [cart]")

    assert every.is_down("grpc", "cart")
    assert not every.is_down("grpc", "stock")
    assert not some.is_down("grpc", "cart")


def test_calls_are_counted_by_their_marks():
    """A call knows its attempts and faults; a call inside it is part of it."""
    made = seam("kind: lost, ratio: 1.0, lasts: 10s, methods: [shop.Cart/Get]")
    seen = []
    made.listeners.append(seen.append)
    mark = made.mark(grpc_target(), "none", 2.0)
    token = marks.current.set(mark)
    assert made.mark(grpc_target(), "none", None) is None
    made.pick(grpc_target())
    made.pick(grpc_target(method="Put"))
    answered(grpc_target())
    answered(grpc_target(method="Put"))  # a call inside it: no execution of its own
    marks.current.reset(token)
    answered(grpc_target())
    made.ended(mark, "OK")
    (one,) = seen

    assert (one.attempts, one.answered) == (2, 1)
    assert (one.injected, one.limit_s) == (("lost",), 2.0)


@pytest.mark.parametrize("value", [None, ""])
def test_no_variable_no_drill(value, monkeypatch, tmp_path):
    """Without the environment variable there is no drill, whatever files there are."""
    for name in ("drill.yaml", "resilience-drill.yaml"):
        (tmp_path / name).write_text(f"{HEAD}faults:\n  - {{{GET}}}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)

    assert live_drill() is None


def test_one_drill_for_a_process(monkeypatch, tmp_path):
    """The file is read once; all channels and clients share its drill."""
    path = tmp_path / "drill.yaml"
    path.write_text(f"{HEAD}faults:\n  - {{{GET}}}\n")
    monkeypatch.setenv(VARIABLE, str(path))
    made = live_drill()

    assert made is not None
    assert live_drill() is made
    armed.disarm(str(path))
    assert made.is_over == "disarmed"


def test_a_bad_file_injects_nothing(monkeypatch, tmp_path, caplog):
    """A service starts with a drill file that is wrong, and without any fault."""
    path = tmp_path / "drill.yaml"
    path.write_text("version: 1\nname: test\n")
    monkeypatch.setenv(VARIABLE, str(path))

    assert live_drill() is None
    assert "cannot be used, no fault is injected" in caplog.text
    armed.disarm(str(path))


def test_the_command_sets_the_beginning(monkeypatch, tmp_path):
    """All processes of a drill share the beginning that the environment names."""
    path = tmp_path / "drill.yaml"
    path.write_text(f"{HEAD}faults:\n  - {{{GET}}}\n")
    monkeypatch.setenv(VARIABLE, str(path))
    began = datetime.now(UTC).timestamp() - 12
    monkeypatch.setenv(armed.BEGAN, repr(began))
    monkeypatch.setenv(armed.EVENTS, str(tmp_path / "calls"))
    made = live_drill()
    mark = made.mark(grpc_target(), "none", None)
    made.ended(mark, "OK")

    assert 11.9 < made.elapsed() < 15
    text = (tmp_path / "calls").read_text()
    assert '"shop.Cart/Get"' in text
    assert (tmp_path / "calls").stat().st_mode & 0o077 == 0
    armed.disarm(str(path))
