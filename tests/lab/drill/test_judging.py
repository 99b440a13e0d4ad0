"""A verdict holds only when the drill proves something."""

import json

import pytest

from resilience.drilling.expecting import DEFAULTS, FIGURES, ExpectationError, read
from resilience.lab.drill.measuring import measure
from resilience.lab.drill.outcome import Outcome, judge
from tests.drilling.drills import drill


DRILL = drill("kind: lost, ratio: 0.5, lasts: 5s, methods: [shop.Cart/Get]")
FOUND = dict.fromkeys(FIGURES, 0.0) | {"success": 0.995, "recovery_s": None}


def holds(text, found=FOUND):
    (verdict,) = judge([read(text)], found)
    return verdict.holds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("success >= 0.99", True),
        ("success > 0.995", False),
        ("duplicates <= 0", True),
        ("duplicates < 0", False),
        ("recovery <= 1h", False),
        ("recovery_s > 1s", True),
        ("latency_recovery <= 250ms", True),
    ],
)
def test_expectations(text, expected):
    """Times have units; what never happened is later than anything."""
    assert holds(text) is expected


def test_what_was_not_measured_proves_nothing():
    """A figure without a value meets no expectation, of either direction."""
    found = {**FOUND, "amplification": None}

    assert not holds("amplification <= 2", found)
    assert not holds("amplification >= 0", found)


def test_figures_of_verify_must_be_there():
    """An expectation of a figure that `verify` did not return is an error."""
    with pytest.raises(ExpectationError, match="there is no figure lost_orders"):
        judge([read("lost_orders <= 0", None)], FOUND)


def outcome(**changes):
    known = {"figures": FOUND, "injected": {"lost": 3}, "codes": {}, "verdicts": ()}
    return Outcome(drill=DRILL, **{**known, **changes})


def test_a_drill_that_proves_nothing_fails():
    """Without a fault that hit, or stopped before its time, no drill passes."""
    assert outcome().is_ok
    assert not outcome(injected={}).is_ok
    assert not outcome(stopped="Ctrl-C").is_ok
    assert not outcome(verdicts=judge([read("success > 1")], FOUND)).is_ok


def test_it_is_json():
    """The outcome is plain data without infinities."""
    made = outcome(verdicts=judge([read("recovery <= 2s")], FOUND)).as_dict()

    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["verdicts"] == [
        {"text": "recovery <= 2s", "holds": False, "value": None}
    ]


def test_every_figure_is_measured():
    """What may be expected is what is measured, and the defaults are among it."""
    assert tuple(measure(DRILL, [], [], 0)) == FIGURES
    assert {read(text).figure for text in DEFAULTS} <= set(FIGURES)
