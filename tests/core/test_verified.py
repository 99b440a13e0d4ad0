"""The end of a call whose work was found done, rewritten as the success that it was."""

import pytest

from resilience.core.outcome import OK, Outcome
from resilience.core.record import AttemptEnded, BreakerChanged, CallEnded
from resilience.core.target import Target
from resilience.core.verified import verified
from resilience.drivers.host import HostLoop
from resilience.engine import PolicyEngine


S3 = Target(protocol="aws", name="s3", service="s3", method="PutObject")
LOST = Outcome("Lost", "transport", "maybe", ids=(("request_id", "R"),))


class Sink:
    """Keeps every record."""

    def __init__(self):
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def named(self, kind):
        return [record for record in self.records if isinstance(record, kind)]


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def loop(sink):
    """Return a loop whose call has arrived, and keeps back how it ends."""
    engine = PolicyEngine.from_dict({"version": 1, "name": "t"}, sinks=[sink])
    made = HostLoop(engine.new_call(engine.bind(S3)), engine)
    made.held = ()
    made.arrive()
    return made


def ended(sink):
    (end,) = sink.named(CallEnded)
    return end.outcome.kind, end.reason, end.attempts, end.first_code, end.ambiguous


def test_found_after_a_loss(loop, sink):
    """The attempt is lost, the call is not, and has the ids of the attempt."""
    loop.found(LOST)
    loop.gone()
    (attempt,) = sink.named(AttemptEnded)

    assert ("ok", "verified", 1, "Lost", False) == ended(sink)
    assert ("Lost", "return", "verified", 0.0) == (
        attempt.outcome.code,
        attempt.decision,
        attempt.reason,
        attempt.wait_s,
    )
    assert LOST.ids == sink.named(CallEnded)[0].outcome.ids
    assert ("verified", OK.code) == (loop.finished.reason, loop.finished.outcome.code)


def test_found_when_the_engine_had_given_up(loop, sink):
    """Its end was kept back, and is told once, as what it came to be."""
    loop.done(1, LOST)  # not repeated: nothing says that it is harmless
    told = sink.named(AttemptEnded)
    loop.found(None)
    loop.gone()

    assert [] == told
    assert ("ok", "verified", 1, "Lost", False) == ended(sink)


def test_found_before_anything_was_sent(loop, sink):
    """No attempt was made."""
    loop.found(None)
    loop.done(1, OK)

    assert ("ok", "verified", 0, "OK", False) == ended(sink)


def test_not_found(loop, sink):
    """What was kept back is told when the call is over, once and unchanged."""
    loop.done(1, LOST)
    loop.gone()
    loop.gone()

    assert ("transport", "idempotency", 1, "Lost", True) == ended(sink)


def test_other_records_stay(loop, sink):
    """What is neither an attempt's end nor a call's is left alone."""
    changed = BreakerChanged("s", "closed", "open", "", None, 0.0)

    assert (changed,) == verified((changed,))
