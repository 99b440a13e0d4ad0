"""A drill file is read whole, or refused with every problem and its place."""

from pathlib import Path

import pytest

from resilience.drilling.reading import drill as read_file
from resilience.drilling.reading import read
from resilience.errors import PolicyError
from tests.drilling.drills import drill


ROOT = Path(__file__).resolve().parents[2]
GOOD = "kind: lost, ratio: 0.5, lasts: 5s, methods: [shop.Cart/Get]"


def problems(text):
    with pytest.raises(PolicyError) as caught:
        read("drill.yaml", text)
    return [(p.line, p.column, p.path, p.code) for p in caught.value.problems]


def of_fault(line, more=""):
    text = f"version: 1\nname: test\nduration: 10s\nfaults:\n  - {{{line}}}\n{more}"
    return [(path, code) for _, _, path, code in problems(text)]


def test_what_is_not_written():
    """A drill needs no more than a name, a duration and a fault."""
    found = drill(GOOD)

    assert (found.warm_up, found.deadline, found.window) == (0.0, None, 1.0)
    assert (found.faults_begin, found.faults_end) == (0.0, 5.0)


def test_all_problems_at_once():
    """Every problem is told in one run, with its line and column."""
    text = """\
version: 1
name: Bad Name
duration: 10
speed: 3
faults:
  - {kind: explode, ratio: 5%, lasts: 1s, methods: [x/Y]}
  - {kind: delay, ratio: 0.1, lasts: 1s}
"""

    assert problems(text) == [
        (2, 7, "name", "bad-text"),
        (3, 11, "duration", "bare-number"),
        (4, 1, "speed", "unknown-key"),
        (6, 12, "faults[0].kind", "unknown-word"),
        (6, 28, "faults[0].ratio", "percent"),
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kind: lost, ratio: 0.1, lasts: 5s", ("faults[0]", "missing-key")),
        (
            "kind: lost, ratio: 0.1, lasts: 1m, targets: [cart]",
            ("faults[0].lasts", "out-of-range"),
        ),
        (
            "kind: delay, ratio: 0.1, lasts: 5s, targets: [cart]",
            ("faults[0]", "missing-key"),
        ),
        (
            "kind: status, ratio: 0.1, lasts: 5s, targets: [cart]",
            ("faults[0]", "missing-key"),
        ),
        (
            "kind: status, code: UNAVAILBLE, ratio: 0.1, lasts: 5s, methods: [a.B/C]",
            ("faults[0].code", "unknown-word"),
        ),
        (
            "kind: status, code: Slow, ratio: 0.1, lasts: 5s, methods: [a.B/C, s3.Get]",
            ("faults[0].code", "conflict"),
        ),
        (
            "kind: lost, delay: 1s, ratio: 0.1, lasts: 5s, targets: [cart]",
            ("faults[0].delay", "conflict"),
        ),
        (
            "kind: lost, ratio: 0.1, lasts: 5s, methods: [Cart]",
            ("faults[0].methods[0]", "bad-pattern"),
        ),
    ],
)
def test_problems_of_a_fault(line, expected):
    """A fault must say whom it hits, fit into the drill, and have its kind's keys."""
    assert of_fault(line) == [expected]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("expect: [sucess >= 0.9]\n", ("expect[0]", "bad-expectation")),
        ("expect: [success = 0.9]\n", ("expect[0]", "bad-expectation")),
        ("expect: [recovery <= soon]\n", ("expect[0]", "bad-expectation")),
        ("stop_when: [recovery > 2s]\n", ("stop_when[0]", "bad-expectation")),
        ("run: a:b\ncommand: [c]\n", ("command", "conflict")),
        ("warm_up: 1s\n", ("warm_up", "out-of-range")),
        ("run: a.b\n", ("run", "not-a-function")),
        ("expires: tomorrow\n", ("expires", "not-a-moment")),
        ('expires: "2026-11-30T18:00:00"\n', ("expires", "not-a-moment")),
        ("load: {rate: 0}\n", ("load.rate", "out-of-range")),
    ],
)
def test_problems_of_the_rest(more, expected):
    """What is expected names figures; what is run is one thing; moments have zones."""
    assert of_fault(GOOD, more) == [expected]


def test_figures_of_verify_may_be_expected():
    """A drill with a check of its own may expect figures that only it knows."""
    found = drill(GOOD, more="verify: shop:count\nexpect: [lost_orders <= 0]\n")

    assert found.expect == ["lost_orders <= 0"]


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("drill*.yaml")))
def test_examples_are_drills(path):
    """The drills that are shown can be read."""
    assert read_file(str(path)).faults
