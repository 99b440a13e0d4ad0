"""Metadata keeps its form; only what must be added is added."""

import pytest

from resilience.core.hop import Marks, marks_of
from resilience.core.target import NO_FACTS, Facts
from resilience.grpc.metadata import for_attempt, is_marked, marks, pairs, values
from tests.core.policies import call


def carried(facts, policy="critical", number=1):
    """What an attempt of a call with *facts* carries."""
    return marks_of(call(facts=facts), number, policy)


def test_nothing_added_is_the_callers_own_object():
    """A first attempt without a key sends the very object that the caller gave."""
    given = [("a", "1"), ("a", "2")]

    assert for_attempt(given, 1, "idempotency-key", None) is given
    assert for_attempt(None, 1, "idempotency-key", None) is None


def test_repeated_keys_and_their_order_are_kept():
    """Duplicates are legal metadata, and their order carries meaning."""
    given = (("b", "1"), ("a", "2"), ("b", "3"))

    made = for_attempt(given, 3, "idempotency-key", "k")

    assert given == made[:3]
    assert (
        ("grpc-previous-rpc-attempts", "2"),
        ("x-retry-attempt", "2"),
        ("idempotency-key", "k"),
    ) == made[3:]


@pytest.mark.parametrize("taken", ["idempotency-key", "x-retry-attempt"])
def test_what_the_caller_set_is_not_set_again(taken):
    """A caller's own key or attempt number wins over ours."""
    made = for_attempt(((taken, "mine"),), 2, "idempotency-key", "ours")

    assert ["mine"] == values(made, taken)


def test_broken_pairs_are_left_out_not_raised():
    """Metadata from foreign objects may hold anything."""
    assert [("a", "1")] == list(pairs([("a", "1"), 5, ("b",), (1, "2"), None]))
    assert [] == list(pairs(None))


def test_what_was_tried_above_travels():
    """A first attempt inside a retry says so, without claiming to be one itself."""
    facts = Facts(previous_attempts=2, criticality="sheddable")

    made = for_attempt((("a", "1"),), 1, "k", None, carried(facts))

    assert (
        ("a", "1"),
        ("x-resilience-previous-attempts", "2"),
        ("x-resilience-criticality", "sheddable"),
    ) == made
    assert is_marked(facts)


@pytest.mark.parametrize(
    ("ambient", "policy", "sent"),
    [
        (None, "critical", None),
        (None, "sheddable", "sheddable"),
        ("critical", "sheddable", None),
        ("critical_plus", "sheddable", "critical_plus"),
    ],
)
def test_criticality_travels_when_it_is_not_the_default(ambient, policy, sent):
    """The ambient one goes before the policy's; the default is not sent."""
    facts = Facts(criticality=ambient)

    made = for_attempt((), 1, "k", None, carried(facts, policy))

    assert [sent] * (sent is not None) == values(made, "x-resilience-criticality")
    assert (ambient not in (None, "critical")) == is_marked(facts)


def test_level_and_mark_travel_on():
    """What a trusted caller sent of both is told to those below, in 4 digits."""
    facts = Facts(level=0.99999, passes_level=True, is_probe=True)

    first = for_attempt((), 1, "k", None, carried(facts))
    repeat = for_attempt((), 2, "k", None, carried(facts, number=2))

    assert (("x-resilience-level", "0.9999"), ("x-resilience-probe", "1")) == first
    assert ["0.9999"] == values(repeat, "x-resilience-level")
    assert [] == values(repeat, "x-resilience-probe")
    assert is_marked(facts)
    assert not is_marked(Facts(level=0.5))


def test_a_plain_call_carries_nothing():
    """Healthy first calls send what their callers gave, the same object."""
    given = [("a", "1")]

    assert for_attempt(given, 1, "k", None, carried(NO_FACTS)) is given
    assert not is_marked(NO_FACTS)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ((), Marks()),
        ((("x-retry-attempt", "2"), ("grpc-previous-rpc-attempts", "2")), Marks(2)),
        (
            (("x-retry-attempt", "1"), ("x-resilience-previous-attempts", "2")),
            Marks(3),
        ),
        ((("x-resilience-criticality", "critical_plus"),), Marks(0, "critical_plus")),
        ((("x-resilience-criticality", "urgent"),), Marks()),
        ((("x-retry-attempt", "-1"),), Marks()),
        ((("x-retry-attempt", "\u0662"),), Marks()),
        ((("x-retry-attempt", "9" * 30),), Marks()),
        ((("x-retry-attempt", b"2"),), Marks()),
        ((("x-retry-attempt", "5000"),), Marks(1000)),
        ((5, None, ("a",)), Marks()),
        ((("x-resilience-level", "0.25"),), Marks(level=0.25)),
        ((("x-resilience-level", "1.0"),), Marks()),
        ((("x-resilience-level", "0.٣"),), Marks()),
        ((("x-resilience-level", "0.1234567890"),), Marks()),
        ((("x-resilience-level", b"0.25"),), Marks()),
        ((("x-resilience-level", "nan"),), Marks()),
        ((("x-resilience-level", "-0.1"),), Marks()),
        ((("x-resilience-probe", "1"),), Marks(is_probe=True)),
        ((("x-resilience-probe", "yes"),), Marks()),
        ((("x-resilience-probe", "2"),), Marks()),
    ],
)
def test_marks_are_read_with_care(metadata, expected):
    """Own attempts and those above add up; what is malformed counts as none."""
    assert expected == marks(metadata)
