"""Folding: a few lines of each kind in full, a count of the rest."""

from resilience.telemetry.folding import Folding


def test_the_first_few_are_said():
    """As many lines of a key as asked for are said in an interval."""
    folding = Folding("other", said=2)

    assert [folding.is_said("a", 0.0) for _ in range(3)] == [True, True, False]
    assert folding.is_said("b", 0.0)


def test_due_only_while_something_is_counted():
    """Nothing is due before the first line, nor after its count was taken."""
    folding = Folding("other", every_s=10.0)

    assert folding.due_at == float("inf")

    folding.is_said("a", 5.0)

    assert folding.due_at == 15.0

    folding.take(15.0)

    assert folding.due_at == float("inf")


def test_counts_are_given_out_once():
    """What was folded is told by key, with the time it took, and then forgotten."""
    folding = Folding("other", said=1)
    for now in (1.0, 2.0, 3.0):
        folding.is_said("a", now)
    folding.is_said("b", 3.0)

    assert folding.take(21.0) == [("a", 2, 20.0)]
    assert folding.take(30.0) == []


def test_keys_are_bounded():
    """Keys beyond the bound are counted as one."""
    folding = Folding("other", said=1, max_keys=3)
    said = [folding.is_said(f"key-{number}", 0.0) for number in range(10)]

    assert said == [True] * 4 + [False] * 6
    assert folding.take(1.0) == [("other", 6, 1.0)]
