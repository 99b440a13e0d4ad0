"""The whole table of kind, reached and idempotency."""

import itertools

import pytest

from resilience.core.classify import Verdict, evidence, verdict
from resilience.core.outcome import Outcome
from tests.core.policies import retry


IDEMPOTENT = ("safe", "keyed", "accept_duplicates")
AGAIN = Verdict(repeat=True, reason="retry")
UNSAFE = Verdict(repeat=False, reason="idempotency")
NEVER = Verdict(repeat=False, reason="not-retryable")


def expected(kind, reached, idempotency, listed):
    if kind in {"ok", "permanent", "local"}:
        return NEVER
    if kind == "application" and not listed:
        return NEVER
    if reached == "no" or idempotency in IDEMPOTENT:
        return AGAIN
    return UNSAFE


@pytest.mark.parametrize(
    ("kind", "reached", "idempotency", "listed"),
    [
        *itertools.product(
            ("ok", "transport", "overload", "application", "permanent", "local"),
            ("no", "maybe", "yes"),
            (*IDEMPOTENT, "none"),
            (True, False),
        )
    ],
)
def test_the_table(kind, reached, idempotency, listed) -> None:
    """What reached nobody is repeated; what may have needs idempotency."""
    outcome = Outcome("LISTED" if listed else "OTHER", kind, reached)
    found = verdict(outcome, retry(retry_on=frozenset({"LISTED"})), idempotency)

    assert expected(kind, reached, idempotency, listed) == found


@pytest.mark.parametrize("reached", ["no", "maybe", "yes"])
@pytest.mark.parametrize("idempotency", [*IDEMPOTENT, "none"])
def test_an_answer_that_says_so_itself(idempotency, reached) -> None:
    """A conflict that passes is repeated like a listed code, and stays an answer."""
    outcome = Outcome("CONFLICT", "application", reached, retryable=True)
    found = verdict(outcome, retry(retry_on=frozenset()), idempotency)

    assert expected("application", reached, idempotency, listed=True) == found
    assert "success" == evidence(outcome)


@pytest.mark.parametrize("idempotency", [*IDEMPOTENT, "none"])
def test_unprocessed_work_is_repeated_for_free(idempotency) -> None:
    """What the peer proves not to have touched is repeated at once, whatever it is."""
    outcome = Outcome("UNAVAILABLE", "transport", "no", unprocessed=True)

    assert verdict(outcome, retry(), idempotency) == Verdict(
        repeat=True, reason="unprocessed", free=True
    )


def test_unprocessed_needs_the_proof() -> None:
    """A mark of "unprocessed" beside "maybe reached" proves nothing."""
    outcome = Outcome("UNAVAILABLE", "transport", "maybe", unprocessed=True)

    assert verdict(outcome, retry(), "none") == UNSAFE


@pytest.mark.parametrize(("form", "reason"), [("exact", "pushback"), ("hint", "retry")])
def test_negative_pushback_means_no(form, reason) -> None:
    """GRFC A6: a negative pushback forbids a retry; elsewhere it is no valid wait."""
    outcome = Outcome(
        "UNAVAILABLE", "overload", "no", pushback_s=-1, pushback_form=form
    )

    assert verdict(outcome, retry(), "safe").reason == reason


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        (Outcome("OK"), "success"),
        (Outcome("INTERNAL", "application", "yes"), "success"),
        (Outcome("UNAVAILABLE", "transport", "no"), "failure"),
        (Outcome("UNAVAILABLE", "transport", "maybe"), "failure"),
        (Outcome("UNAVAILABLE", "transport", "no", ours=True), "own"),
        (Outcome("UNAVAILABLE", "transport", "no", unprocessed=True), "neutral"),
        (Outcome("SlowDown", "overload", "no", throttled=True), "overload"),
        (Outcome("UNAVAILABLE", "permanent", "no"), "neutral"),
        (Outcome("CANCELLED", "local", "maybe"), "neutral"),
    ],
)
def test_whom_an_outcome_testifies_about(outcome, shown) -> None:
    """Refusals and resets count against the target; throttling and DNS do not."""
    assert evidence(outcome) == shown
