"""Log lines: which records get one, at which level, with which words."""

import json
import logging

import pytest

from resilience.core.outcome import OK, Outcome
from resilience.core.record import Notice
from resilience.telemetry.logs import LogSink


@pytest.fixture
def sink(caplog):
    caplog.set_level(logging.DEBUG, "resilience")
    return LogSink()


def lines(caplog):
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def data(caplog):
    return [record.resilience for record in caplog.records]


def test_clean_success_is_silent(sink, records, caplog):
    """A call that succeeds at its first attempt writes nothing."""
    sink.emit(records.call())
    sink.close()

    assert lines(caplog) == []


def test_retried_attempt(sink, records, caplog):
    """An attempt that is tried again is one INFO line of key=value words."""
    outcome = Outcome(
        "UNAVAILABLE",
        "transport",
        "no",
        pushback_s=0.5,
        message="connection refused",
        ids=(("peer", "ipv4:10.0.0.7:50051"),),
    )
    sink.emit(records.attempt(outcome))

    expected = (
        "attempt failed: call_id=c-1 protocol=grpc target=cart "
        "method=shop.Cart/GetCart attempt=1 code=UNAVAILABLE kind=transport "
        'reached=no details="connection refused" pushback_s=0.5 '
        "peer=ipv4:10.0.0.7:50051 elapsed_s=0.25 time_left_s=1.5 decision=retry "
        "reason=retry wait_s=0.1 mode=enforce"
    )

    assert [("INFO", expected)] == lines(caplog)


def test_failed_call(sink, records, caplog):
    """A failed call is one WARNING, with what is needed to look further."""
    outcome = Outcome(
        "InternalError",
        "transport",
        "maybe",
        ids=(("request_id", "R"), ("host_id", "H")),
    )
    sink.emit(
        records.call(
            outcome,
            attempts=3,
            free_attempts=1,
            first_code="SlowDown",
            ambiguous=True,
            idempotency="keyed",
            timeout_s=2.0,
        )
    )
    [(level, text)] = lines(caplog)

    assert level == "WARNING"
    assert text.startswith("call failed: call_id=c-1 ")
    for word in (
        "attempts=3",
        "free_attempts=1",
        "first_code=SlowDown",
        "code=InternalError",
        "request_id=R",
        "host_id=H",
        "time_left_s=1.75",
        "decision=fail",
        "reason=attempts-exhausted",
        "idempotency=keyed",
        "ambiguous=true",
    ):
        assert f" {word}" in text


@pytest.mark.parametrize(
    ("given", "level", "event"),
    [
        ({"attempts": 2, "first_code": "UNAVAILABLE"}, "INFO", "call recovered"),
        ({"outcome": Outcome("X", "local"), "attempts": 0}, "WARNING", "call rejected"),
        (
            {"outcome": Outcome("X", "local"), "attempts": 0, "reason": "cancelled"},
            "INFO",
            "call cancelled",
        ),
        (
            {"outcome": Outcome("X", "local"), "reason": "cancelled"},
            "INFO",
            "call cancelled",
        ),
    ],
)
def test_ends_of_calls(records, caplog, given, level, event):
    """A call that was no clean success says what became of it."""
    caplog.set_level(logging.DEBUG, "resilience")
    LogSink().emit(records.call(**given))
    [(found, text)] = lines(caplog)

    assert (level, event) == (found, text.partition(":")[0])


def test_success_after_a_failure_is_one_line(sink, records, caplog):
    """The attempt that recovered a call needs no line beside its call's."""
    sink.emit(records.attempt(OK, number=2, decision="return", reason="ok"))

    assert lines(caplog) == []


@pytest.mark.parametrize(
    ("new", "level"),
    [
        ("open", "WARNING"),
        ("forced-open", "WARNING"),
        ("half-open", "INFO"),
        ("closed", "INFO"),
        ("ramp", "INFO"),
        ("disabled", "INFO"),
    ],
)
def test_breakers(sink, records, caplog, new, level):
    """A breaker that opens is a WARNING with its evidence; other changes are INFO."""
    sink.emit(records.breaker(new=new))
    [(found, text)] = lines(caplog)

    assert level == found
    assert f"breaker {new}: " in text
    assert 'evidence="12 of 20 failed" for_s=5' in text


@pytest.mark.parametrize(
    ("given", "level"),
    [
        ({}, "INFO"),
        ({"mechanism": "retry_budget", "decision": "fail"}, "INFO"),
        ({"mechanism": "retry", "decision": "retry"}, "INFO"),
        ({"mechanism": "retry", "decision": "fail"}, "DEBUG"),
    ],
)
def test_observed_decisions(sink, records, caplog, given, level):
    """An observing mechanism speaks up only where it would change something."""
    sink.emit(records.decided(**given))

    assert [level] == [found for found, _ in lines(caplog)]


@pytest.mark.parametrize(
    ("code", "level"),
    [("reload-failed", "ERROR"), ("mode-changed", "WARNING"), ("policy", "INFO")],
)
def test_notices(sink, caplog, code, level):
    """A failed reload is an ERROR, a changed mode a WARNING."""
    sink.emit(Notice(code, "what happened", 1.0))

    assert [(level, f'notice: code={code} details="what happened"')] == lines(caplog)


def test_extra_is_ready_for_json(sink, records, caplog):
    """The same fields are a dictionary in `extra`, with plain values."""
    sink.emit(records.attempt())
    sink.emit(records.call(records.refused))
    sink.emit(records.breaker())

    assert json.loads(json.dumps(data(caplog))) == data(caplog)
    assert data(caplog)[0]["event"] == "attempt failed"
    assert data(caplog)[0]["elapsed_s"] == 0.25
    assert data(caplog)[1]["ambiguous"] is False


def test_hostile_details_stay_on_one_line(sink, records, caplog):
    """Line breaks, quotes and terminal escapes of a server move nothing."""
    outcome = Outcome("X", "application", message='a\n"b"\x1b[2J level=ERROR')
    sink.emit(records.call(outcome))
    [(_, text)] = lines(caplog)

    assert text.isprintable()
    assert r'details="a\n\"b\"\u001b[2J level=ERROR"' in text


def test_identical_lines_are_folded(sink, records, caplog):
    """Beyond five in ten seconds, identical lines are counted into one."""
    failed = records.call(records.refused)
    for number in range(1239):
        sink.emit(failed._replace(now=100.0 + number / 1000))

    assert len(lines(caplog)) == 5

    sink.emit(failed._replace(now=110.0))
    level, text = lines(caplog)[5]

    assert level == "WARNING"
    assert text.startswith(
        "call failed: and 1234 more like this in the last 10 s: target=cart "
        "method=shop.Cart/GetCart code=UNAVAILABLE decision=fail"
    )
    assert data(caplog)[5]["folded"] == 1234
    assert len(lines(caplog)) == 7


@pytest.mark.parametrize(
    ("code", "reason", "shown"),
    [
        ("DEADLINE_EXCEEDED", "idempotency", "inbound"),
        ("UNAVAILABLE", "deadline", "inbound"),
        ("UNAVAILABLE", "attempts-exhausted", ""),
    ],
)
def test_whose_deadline_it_was(records, caplog, code, reason, shown):
    """A call that a deadline ended says who set it; another one does not."""
    outcome = Outcome(code, "transport", "maybe")
    ended = records.call(outcome, reason=reason, deadline_origin="inbound")
    LogSink().emit(ended)
    [line] = data(caplog)

    assert line.get("deadline_origin", "") == shown


def test_deadlines_of_different_origin_are_not_folded_into_one(records, caplog):
    """A cascade stays told from a caller's own short timeout when lines are folded."""
    sink = LogSink(said=1)
    late = Outcome("DEADLINE_EXCEEDED", "transport", "maybe")
    for origin in ("inbound", "explicit", "inbound", "inbound", "explicit"):
        sink.emit(records.call(late, reason="deadline", deadline_origin=origin))
    sink.close()
    folded = [line for line in data(caplog) if "folded" in line]

    assert {("inbound", 2), ("explicit", 1)} == {
        (line["deadline_origin"], line["folded"]) for line in folded
    }


def test_folded_lines_come_with_a_success(sink, records, caplog):
    """The first record after the interval brings the count, a clean success too."""
    for _ in range(7):
        sink.emit(records.call(records.refused, now=100.0))
    sink.emit(records.call(now=111.0))

    assert "and 2 more" in lines(caplog)[5][1]

    sink.emit(records.call(now=125.0))

    assert len(lines(caplog)) == 6


def test_folded_lines_come_with_close(sink, records, caplog):
    """Closing says what is still counted, once."""
    for _ in range(6):
        sink.emit(records.attempt())
    sink.close()
    sink.close()

    assert len(lines(caplog)) == 6
    assert "and 1 more like this in the last 10 s" in lines(caplog)[5][1]


def test_other_lines_are_not_folded_in(sink, records, caplog):
    """Another code, reason or target is another line."""
    for number in range(12):
        sink.emit(records.call(Outcome(f"CODE_{number % 3}", "application")))

    assert len(lines(caplog)) == 12


def test_nothing_is_counted_below_the_level(records, caplog):
    """Lines that nobody would see are neither made nor counted."""
    caplog.set_level(logging.ERROR, "resilience")
    sink = LogSink()
    for _ in range(9):
        sink.emit(records.attempt())
    caplog.set_level(logging.INFO, "resilience")
    sink.close()

    assert lines(caplog) == []


def test_unconfigured_logging_stays_silent(records, capfd):
    """A program that configured no logging sees nothing new on its terminal."""
    logger = logging.getLogger("nobody-listens")
    logger.propagate = False
    sink = LogSink(logger)
    sink.emit(records.call(records.refused))

    assert tuple(capfd.readouterr()) == ("", "")


def test_renewed_after_a_fork(sink, records, caplog):
    """The child of a fork does not say what its parent counted."""
    for _ in range(9):
        sink.emit(records.attempt())
    caplog.clear()
    sink.renew()
    sink.close()

    assert lines(caplog) == []


def test_hedged_success_is_silent(sink, records, caplog):
    """A rival of an attempt that was merely late is no line, nor is who lost."""
    lost = Outcome("CANCELLED", "local", "maybe")
    sink.emit(records.attempt(lost, decision="ignore", reason="superseded"))
    sink.emit(records.call(attempts=2, hedges=1))

    assert [] == lines(caplog)


def test_hedge_that_recovered_a_failure(sink, records, caplog):
    """Where an attempt failed the call has recovered, and its hedges are told."""
    sink.emit(records.call(attempts=2, hedges=1, first_code="UNAVAILABLE"))
    [(level, text)] = lines(caplog)

    assert "INFO" == level
    assert "call recovered" in text
    assert "attempts=2 hedges=1 first_code=UNAVAILABLE" in text
