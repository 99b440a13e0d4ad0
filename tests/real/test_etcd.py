"""A killed and restarted etcd costs no call, where bare clients lose many."""

import pytest

from examples.etcd.run import run


pytestmark = pytest.mark.real


def test_bare_calls_fail_while_etcd_is_away(need):
    """The scene is real: without retries, calls fail during the outage."""
    need("etcd")
    result = run("bare", seconds=2, kills=1, down_s=0.3)

    assert result.tally.failed > 0
    assert any("UNAVAILABLE" in error for error in result.errors)


def test_no_call_fails_or_is_late(need):
    """Put and Range outlive two kills within their five seconds, on one policy."""
    need("etcd")
    # A short election: on a busy machine the default one alone can take the five.
    result = run("resilience", seconds=5, kills=2, down_s=0.5, election_ms=200)

    assert result.errors == ()
    assert (result.tally.failed, result.tally.late) == (0, 0)
    assert result.tally.calls == 1000
    assert result.attempts >= 900
