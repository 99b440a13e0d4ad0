"""Metadata keeps its form; only what must be added is added."""

import pytest

from resilience.grpc.metadata import for_attempt, pairs, values


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
