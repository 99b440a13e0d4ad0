"""The history of a call: as data, as a sentence, on the error that is caught."""

import copy
import json
import logging
import pickle

import pytest

import resilience
from resilience import PolicyEngine, Rejected, Report
from resilience.core.event import ARRIVED
from resilience.core.outcome import Outcome
from resilience.core.target import Target
from resilience.report import ATTRIBUTE, attach, of_call
from resilience.testing import Script, VirtualLoop, after


CART = Target(protocol="grpc", name="cart", service="shop.Cart", method="Get")


@pytest.fixture
def engine():
    return PolicyEngine(sinks=(), seed=0)


def report_of(engine, *entries, hint=""):
    """The report of a call to the cart that ended by *entries*."""
    call = engine.new_call(engine.bind(CART))
    loop = VirtualLoop()
    loop.start(call, Script(entries).transport)
    loop.run()
    return of_call(call, hint=hint)


REFUSED = Outcome("UNAVAILABLE", "transport", "no", message="refused")
LOST = Outcome(
    "INTERNAL", "transport", "maybe", ids=(("request_id", "R-1"),), pushback_s=4.0
)


def test_history(engine):
    """A report holds each attempt with its code, time, decision and reason."""
    found = report_of(engine, after(0.2, REFUSED), after(0.1, LOST))
    [first, second] = found.attempts

    assert (first.number, first.code, first.decision) == (1, "UNAVAILABLE", "retry")
    assert (second.number, second.code, second.decision) == (2, "INTERNAL", "fail")
    assert (first.elapsed_s, first.message) == (0.2, "refused")
    assert first.wait_s > 0 == second.wait_s
    assert found.elapsed_s == pytest.approx(0.3 + first.wait_s)
    assert (found.reason, found.idempotency) == ("idempotency", "none")
    assert found.ids == (("request_id", "R-1"),)
    assert found.retry_after_s == 4.0
    assert found.ambiguous


def test_sentence(engine):
    """The sentence says what happened, to which call, by which rule, what to do."""
    found = report_of(engine, after(0.5, LOST), hint="declare `idempotency: keyed`")
    expected = (
        f"resilience: shop.Cart/Get [{found.call_id}]: 1 attempt in 0.5s (INTERNAL); "
        "ended by idempotency; ambiguous: the server may have executed it; "
        "try again in 4s; declare `idempotency: keyed`"
    )

    assert expected == str(found)


def test_a_refused_pushback_is_no_time_to_come_back(engine):
    """A server that forbids repeats names no moment."""
    outcome = REFUSED._replace(pushback_s=-1.0)

    assert report_of(engine, outcome).retry_after_s is None


def test_not_ambiguous_when_never_reached(engine):
    """A call whose attempts reached nobody is not ambiguous."""
    assert not report_of(engine, REFUSED, REFUSED, REFUSED).ambiguous


def test_plain_data(engine):
    """As data a report is ready for JSON; as an object it can be pickled."""
    found = report_of(engine, LOST)

    assert json.loads(json.dumps(found.as_dict()))["attempts"][0]["code"] == "INTERNAL"
    assert found == pickle.loads(pickle.dumps(found)) == copy.deepcopy(found)


def test_needs_an_end(engine):
    """A call that runs has no report yet."""
    call = engine.new_call(engine.bind(CART))
    call.advance(ARRIVED, 0.0)
    with pytest.raises(RuntimeError, match=f"call {call.id} has not ended"):
        of_call(call)


def test_only_ours():
    """An error of somebody else's, or no error at all, has no report."""
    alien = ValueError()
    setattr(alien, ATTRIBUTE, "forged")

    assert resilience.report(ValueError()) is None
    assert resilience.report(alien) is None
    assert resilience.report(None) is None


def test_on_the_error(engine):
    """A caught error carries report and note; both survive pickling."""
    with pytest.raises(ConnectionResetError) as caught:
        engine.call("app:rates/quote", Script([ConnectionResetError()]).run)
    again = pickle.loads(pickle.dumps(caught.value))

    assert isinstance(resilience.report(caught.value), Report)
    assert [str(resilience.report(caught.value))] == caught.value.__notes__
    assert resilience.report(again) == resilience.report(caught.value)


def test_one_id_everywhere(caplog):
    """Log lines, the note on the error and the report name the call alike."""
    caplog.set_level(logging.INFO, "resilience")
    engine = PolicyEngine(seed=0)
    with pytest.raises(ConnectionResetError) as caught:
        engine.call("app:rates/quote", Script([ConnectionResetError()]).run)
    call_id = resilience.report(caught.value).call_id
    lines = [record.getMessage() for record in caplog.records]

    assert f"[{call_id}]" in caught.value.__notes__[0]
    assert len(lines) == 2
    assert all(f"call_id={call_id} " in line for line in lines)


def test_rejection_survives_pickling(engine):
    """A `Rejected` from a worker process keeps its fields and its report."""
    engine.call("app:rates/quote", lambda _: 1)
    engine.breaker("app:target=rates").force_open()
    with pytest.raises(Rejected) as caught:
        engine.call("app:rates/quote", lambda _: 1)
    again = pickle.loads(pickle.dumps(caught.value))

    assert (again.reason, again.scope) == ("breaker-open", "app:target=rates")
    assert resilience.report(again) == resilience.report(caught.value)


def test_one_error_raised_twice_has_one_note(engine):
    """An exception object that is raised again and again gathers no notes."""
    error = ConnectionResetError()
    for _ in range(3):
        with pytest.raises(ConnectionResetError):
            engine.call("app:rates/quote", Script([error]).run)

    assert len(error.__notes__) == 1


def test_one_error_of_two_calls(engine):
    """The report that an earlier call left on an error does not stop a later one."""
    error = ConnectionRefusedError()
    with pytest.raises(ConnectionRefusedError):
        engine.call("app:rates/quote", Script([error] * 3).run)

    assert engine.call("app:other/quote", Script([error, 1]).run) == 1


def test_an_error_that_takes_nothing_is_left_alone(engine):
    """An error that takes no attribute is passed on as it is."""

    class Closed(Exception):
        def __setattr__(self, name, value):
            raise AttributeError(name)

    error = Closed()
    attach(error, report_of(engine, LOST))

    assert resilience.report(error) is None
