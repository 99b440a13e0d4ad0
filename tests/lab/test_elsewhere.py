"""What `explain` says about failover and fallbacks."""

import pytest

from resilience import policy
from resilience.lab.explain import explain


PLACES = [{"region": "eu-west-1"}, {"region": "eu-central-1"}]


def notes(method="s3.GetObject", operations=None, **rule):
    rules = {"s3.*": {"failover": PLACES, **rule}, **(operations or {})}
    table = policy.load_mapping({"edition": "2026.11", "aws": {"operations": rules}})
    return [note for note in explain(table, method).notes if "fail" in note]


def test_a_read():
    """A read is said to fail over, and where to."""
    (first, _) = notes()

    assert (
        "a read: when it was refused or lost it fails over to eu-west-1, then" in first
    )


def test_a_write_under_a_pattern():
    """A write under a pattern is said to stay, and what would mark it."""
    first = notes("s3.PutObject")[0]

    assert "does not fail over" in first
    assert "`s3.PutObject` itself" in first


@pytest.mark.parametrize("ambiguous", ["refuse", "repeat"])
def test_a_marked_write(ambiguous):
    """A marked write is said to fail over only unexecuted, or by whose word not."""
    place = {"region": "eu-west-1", "ambiguous_writes": ambiguous}
    first = notes("s3.PutObject", {"s3.PutObject": {"failover": [place]}})[0]

    assert "only when its own region has certainly not executed it" in first
    assert (ambiguous == "repeat") == ("even when it may have" in first)


def test_a_whole_service():
    """Of a pattern both are said."""
    assert "reads that were refused or lost" in notes("s3.*")[0]


def test_nothing_is_left():
    """A policy that gives the first region all the time is told so."""
    short = {"attempt_timeout": "1s", "timeout": "60s", "retry": {"max_attempts": 1}}

    assert "a region that hangs" in notes()[1]
    assert "use up the whole timeout" in notes(**{**short, "timeout": "1s"})[1]
    assert 1 == len(notes(**short))


def test_a_fallback():
    """A fallback is named, for every protocol."""
    table = policy.load_mapping({"all": {"fallback": "last"}})
    for method in ("shop.Cart/Get", "app:rates/quote", "s3.GetObject"):
        found = explain(table, method).notes
        assert any("fallback last answers calls" in note for note in found)


def test_off():
    """What is switched off for one operation is not said of it."""
    assert [] == notes(operations={"s3.GetObject": {"failover": "off"}})


def test_a_breaker_for_each_region():
    """A scope that would join the regions is widened, and that is said."""
    rule = {"failover": PLACES, "breaker": {"scope": ["service"]}}
    data = {"aws": {"operations": {"s3.*": rule}}}
    table = policy.load_mapping(data)
    leaf = next(
        leaf
        for leaf in explain(table, "s3.GetObject").leaves
        if leaf.path == "breaker.scope"
    )

    assert "[service, region]" == leaf.value
    assert "region added" in leaf.note


def test_check_says_what_a_pattern_covers():
    """`check` says that a pattern covers reads only."""
    wide = {"aws": {"operations": {"s3.*": {"failover": PLACES}}}}
    exact = {"aws": {"operations": {"s3.PutObject": {"failover": PLACES}}}}

    assert any("covers reads" in text for text in policy.load_mapping(wide).notices)
    assert not any("reads" in text for text in policy.load_mapping(exact).notices)
