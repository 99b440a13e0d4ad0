"""Profile `aws-standard-2.1` against AWS's published retry cases, with jitter at 1.

The figures are those of botocore's own tests of this version of the specification:
capacity 500, cost 14 (throttling 5), waits of 0.05 s doubling, DynamoDB 0.025 s and
four attempts, at most 20 s, `x-amz-retry-after` clamped to 5 s above the own wait.
"""

from dataclasses import dataclass

import pytest
from botocore.exceptions import ClientError


@dataclass(frozen=True)
class Case:
    """One call: what the server answers, and what must follow."""

    answers: tuple
    attempts: int
    waits: tuple
    left: int
    """Of the quota, when the call has ended."""
    ok: bool
    service: str = "codecommit"
    capacity: int = 500


def bare(status, **headers):
    return status, {k.replace("_", "-"): v for k, v in headers.items()}, b""


def throttled(**headers):
    named = {k.replace("_", "-"): v for k, v in headers.items()}
    return 400, named, b'{"__type": "ThrottlingException", "message": "m"}'


def error(status, code):
    return status, {}, b'{"__type": "%s", "message": "m"}' % code.encode()


OK = (200, {}, b"{}")
CASES = {
    "one success, full quota": Case((OK,), 1, (), 500, True),
    "success after two": Case((500, 500, OK), 3, (0.05, 0.1), 486, True),
    "attempts exhausted": Case((502, 502, 502), 3, (0.05, 0.1), 472, False),
    "no quota left": Case((500, OK), 1, (), 13, False, capacity=13),
    "quota for one only": Case((500, 500, OK), 2, (0.05,), 0, False, capacity=14),
    "success gives its last price back": Case(
        (500, OK), 2, (0.05,), 14, True, capacity=14
    ),
    "throttling waits longer and costs less": Case(
        (throttled(), throttled(), OK), 3, (1.0, 2.0), 495, True
    ),
    "throttling exhausted": Case(
        (throttled(), throttled(), throttled()), 3, (1.0, 2.0), 490, False
    ),
    "one exponent over both kinds": Case(
        (500, throttled(), OK), 3, (0.05, 2.0), 486, True
    ),
    "dynamodb has four attempts and half the wait": Case(
        (500,) * 4, 4, (0.025, 0.05, 0.1), 458, False, "dynamodb"
    ),
    "bare 429 is throttling": Case((bare(429), OK), 2, (1.0,), 500, True),
    "429 with an unknown code too": Case(
        (error(429, "Strange"), OK), 2, (1.0,), 500, True
    ),
    "a modelled error with 429 is none": Case(
        (error(429, "InvalidOrderException"),), 1, (), 500, False
    ),
    "an application's error is final": Case(
        (error(400, "ValidationException"),), 1, (), 500, False
    ),
    "retry-after 1500": Case(
        (bare(500, x_amz_retry_after="1500"), OK), 2, (1.5,), 500, True
    ),
    "retry-after 0": Case(
        (bare(500, x_amz_retry_after="0"), OK), 2, (0.05,), 500, True
    ),
    "retry-after above the clamp": Case(
        (bare(500, x_amz_retry_after="10000"), OK), 2, (5.05,), 500, True
    ),
    "retry-after invalid": Case(
        (bare(500, x_amz_retry_after="invalid"), OK), 2, (0.05,), 500, True
    ),
    "retry-after negative": Case(
        (bare(500, x_amz_retry_after="-100"), OK), 2, (0.05,), 500, True
    ),
}
CALLS = {
    "codecommit": lambda c: c.list_repositories(),
    "dynamodb": lambda c: c.list_tables(),
}


@pytest.mark.parametrize("name", CASES)
def test_case(name, wire, connect, make_engine, clock):
    """Attempts, waits, quota and end are those of AWS's case."""
    case = CASES[name]
    rules = {"breaker": "off"}
    if case.capacity != 500:
        rules["retry_budget"] = {"capacity": case.capacity}
    engine = make_engine(rules)
    engine._random = lambda: 1.0
    client = connect(case.service, engine)
    wire.plans = [*case.answers]
    try:
        CALLS[case.service](client)
        ok = True
    except ClientError:
        ok = False

    (scope,) = engine._scopes
    (budget,) = scope.budgets
    assert (case.ok, case.attempts) == (ok, wire.count)
    assert list(case.waits) == pytest.approx(clock.slept)
    assert case.left == budget._left


def test_backoff_is_capped_before_jitter(wire, connect, make_engine, clock):
    """Waits double up to 20 s and stay there."""
    rules = {
        "breaker": "off",
        "retry": {"max_attempts": 12},
        "retry_budget": {"capacity": 5000},
    }
    engine = make_engine(rules)
    engine._random = lambda: 1.0
    client = connect("codecommit", engine)
    wire.plans = [500] * 11

    client.list_repositories()

    expected = [0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 20.0, 20.0]
    assert expected == pytest.approx(clock.slept)


@pytest.mark.parametrize(
    ("service", "call", "waits"),
    [
        ("sqs", lambda c: c.receive_message(QueueUrl="http://q/1/q"), [0.05]),
        ("stepfunctions", lambda c: c.get_activity_task(activityArn="a"), [0.05]),
        (
            "swf",
            lambda c: c.poll_for_decision_task(domain="d", taskList={"name": "t"}),
            [0.05],
        ),
        ("sqs", lambda c: c.list_queues(), []),
    ],
    ids=["sqs", "stepfunctions", "swf", "not a poll"],
)
def test_long_polls_wait_before_they_fail(
    *, service, call, waits, wire, connect, make_engine, clock
):
    """With an empty quota a poll sleeps its backoff first, or its loop would spin."""
    rules = {"breaker": "off", "retry_budget": {"capacity": 1}}
    engine = make_engine(rules)
    engine._random = lambda: 1.0
    client = connect(service, engine, inject_host_prefix=False)
    wire.plans = [500]
    with pytest.raises(Exception, match="500"):
        call(client)

    assert waits == pytest.approx(clock.slept)
    assert 1 == wire.count
