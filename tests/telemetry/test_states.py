"""The gauge of breakers that are not closed, told from their changes."""

from resilience.telemetry.states import KEPT, SHOWN, BreakerStates


def test_open_and_closed_again(records):
    """A breaker is counted in the state it is in, and not at all when closed."""
    states = BreakerStates()
    states.changed(records.breaker())

    assert states.counts() == [("grpc:target=cart", "open", 1)]

    states.changed(records.breaker("open", "half-open"))

    assert states.counts() == [("grpc:target=cart", "half-open", 1)]

    states.changed(records.breaker("half-open", "closed"))

    assert states.counts() == []


def test_scopes_of_one_label_are_summed(records):
    """Breakers that differ in their bucket only are counted together."""
    states = BreakerStates()
    for bucket in "abc":
        states.changed(records.breaker(scope=f"aws:region=eu,bucket={bucket}"))
    states.changed(records.breaker("open", "closed", "aws:region=eu,bucket=b"))

    assert states.counts() == [("aws:region=eu", "open", 2)]


def test_newest_scopes_are_named_the_others_summed(records):
    """The gauge names the twenty scopes that changed last and sums up the rest."""
    states = BreakerStates()
    for number in range(SHOWN + 3):
        states.changed(records.breaker(scope=f"grpc:target=t-{number}"))
    counts = states.counts()

    assert counts[0] == ("grpc:target=t-22", "open", 1)
    assert counts[-1] == ("other", "open", 3)
    assert len(counts) == SHOWN + 1


def test_memory_is_bounded(records):
    """However many scopes open, a bounded number is remembered."""
    states = BreakerStates()
    for number in range(KEPT + 50):
        states.changed(records.breaker(scope=f"grpc:target=t-{number}"))

    assert sum(count.breakers for count in states.counts()) == KEPT
