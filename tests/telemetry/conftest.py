"""Records as the engine makes them, with everything but the point at its default."""

import pytest

from resilience.core.outcome import OK, Outcome
from resilience.core.record import AttemptEnded, BreakerChanged, CallEnded, Decided
from resilience.core.target import Target


CART = Target(protocol="grpc", name="cart", service="shop.Cart", method="GetCart")
REFUSED = Outcome("UNAVAILABLE", "transport", "no")


class Records:
    """Makes records of any kind."""

    cart = CART
    refused = REFUSED

    def call(self, outcome=OK, **given):
        made = CallEnded(
            call_id="c-1",
            target=CART,
            outcome=outcome,
            reason="ok" if outcome.kind == "ok" else "attempts-exhausted",
            attempts=1,
            free_attempts=0,
            first_code=outcome.code,
            elapsed_s=0.25,
            wait_s=0.0,
            ambiguous=False,
            mode="enforce",
            idempotency="none",
            timeout_s=None,
            now=100.0,
        )
        return made._replace(**given)

    def attempt(self, outcome=REFUSED, **given):
        made = AttemptEnded(
            call_id="c-1",
            target=CART,
            number=1,
            outcome=outcome,
            elapsed_s=0.25,
            decision="retry",
            reason="retry",
            wait_s=0.1,
            time_left_s=1.5,
            mode="enforce",
            now=100.0,
        )
        return made._replace(**given)

    def decided(self, **given):
        made = Decided(
            call_id="c-1",
            target=CART,
            mechanism="breaker",
            decision="reject",
            reason="breaker-open",
            message="breaker open for grpc:target=cart",
            wait_s=0.0,
            now=100.0,
        )
        return made._replace(**given)

    def breaker(self, old="closed", new="open", scope="grpc:target=cart", **given):
        made = BreakerChanged(scope, old, new, "12 of 20 failed", 105.0, 100.0)
        return made._replace(**given)


@pytest.fixture
def records():
    return Records()
