"""Retry budgets: ratio, tokens, quota."""

import pytest

from resilience.core.budget import make_budget
from tests.core.policies import RESET, THROTTLED, TIMEOUT, budget


def drain(made, now: float, most: int = 10_000) -> int:
    """How many retries it grants at *now*."""
    return sum(made.withdraw(RESET, now) is not None for _ in range(most))


def test_a_ratio_budget_starts_with_its_reserve() -> None:
    """`min_per_second * ttl` retries are there before any call."""
    made = make_budget(budget(min_per_second=1, ttl_s=10))

    assert made.balance(0) == 10
    assert drain(made, 0) == 10
    assert not made.allows(RESET, 0)
    assert made.withdraw(RESET, 0) is None


def test_each_call_pays_for_a_share_of_a_retry() -> None:
    """Five calls pay for one retry at a ratio of 0.2."""
    made = make_budget(budget(ratio=0.2, min_per_second=0))
    for _ in range(4):
        made.deposit(0)

    assert drain(made, 0) == 0

    made.deposit(0)

    assert drain(made, 0) == 1


def test_deposits_expire() -> None:
    """Calls of more than `ttl` ago pay for nothing."""
    made = make_budget(budget(ratio=1, min_per_second=0, ttl_s=10))
    for second in range(10):
        made.deposit(second)

    assert made.balance(9.5) == 10
    assert made.balance(12.5) == 7
    assert made.balance(1000) == 0


def test_a_refund_gives_a_retry_back() -> None:
    """A retry that was paid for and not made costs nothing."""
    made = make_budget(budget(min_per_second=0.1, ttl_s=10))
    cost = made.withdraw(RESET, 0)

    assert made.balance(0) == 0

    made.refund(cost, 0)

    assert made.balance(0) == 1


def test_a_ratio_of_zero_leaves_the_reserve() -> None:
    """Only the reserve is granted, whatever the load."""
    made = make_budget(budget(ratio=0, min_per_second=1, ttl_s=5))
    for _ in range(1000):
        made.deposit(0)

    assert drain(made, 0) == 5


def test_a_ratio_budget_is_indifferent_to_ends() -> None:
    """Only calls and retries count, not how they end."""
    made = make_budget(budget(min_per_second=1, ttl_s=10))
    made.failed(0, counts=True)
    made.ended(None, 0, ok=True)

    assert made.balance(0) == 10


def test_time_that_seems_to_go_back_loses_nothing() -> None:
    """A deposit of a slower thread counts in the newest slice."""
    made = make_budget(budget(ratio=1, min_per_second=0, ttl_s=10))
    made.deposit(100)
    made.deposit(98)

    assert made.balance(100) == 2


def test_tokens_stop_retries_at_half() -> None:
    """gRPC: failures take 1, and only above half of the tokens is a retry granted."""
    made = make_budget(budget("tokens", max_tokens=4, token_ratio=0.5))
    made.deposit(0)

    assert made.balance(0) == 2

    made.failed(0, counts=True)

    assert made.withdraw(RESET, 0) == 0

    made.failed(0, counts=True)

    assert made.withdraw(RESET, 0) is None


def test_tokens_come_back_with_successes() -> None:
    """A success gives `token_ratio`, up to the maximum; other ends change nothing."""
    made = make_budget(budget("tokens", max_tokens=4, token_ratio=0.5))
    made.failed(0, counts=True)
    made.failed(0, counts=False)
    made.refund(0, 0)
    made.ended(None, 0, ok=False)

    assert made.balance(0) == 1

    made.ended(None, 0, ok=True)

    assert made.balance(0) == 1.5

    for _ in range(9):
        made.ended(None, 0, ok=True)

    assert made.balance(0) == 2


def test_tokens_never_fall_below_none() -> None:
    """A long outage leaves a debt of nothing: recovery is not delayed by its length."""
    made = make_budget(budget("tokens", max_tokens=4, token_ratio=1))
    for _ in range(100):
        made.failed(0, counts=True)
    for _ in range(3):
        made.ended(None, 0, ok=True)

    assert made.allows(RESET, 0)


def test_a_quota_has_prices() -> None:
    """AWS: 14 a retry, 5 after throttling; a timeout has its own price."""
    made = make_budget(budget("quota", timeout_cost=10))
    made.deposit(0)
    made.failed(0, counts=True)

    assert [made.withdraw(o, 0) for o in (RESET, THROTTLED, TIMEOUT)] == [14, 5, 10]
    assert made.balance(0) == (500 - 29) // 14


def test_a_quota_runs_out_and_is_refilled() -> None:
    """A first-try success gives 1, one after a retry its price; at most all of it."""
    made = make_budget(budget("quota", capacity=20, retry_cost=14))

    assert made.withdraw(RESET, 0) == 14
    assert made.withdraw(RESET, 0) is None
    assert not made.allows(RESET, 0)
    assert made.allows(THROTTLED, 0)

    for _ in range(8):
        made.ended(None, 0, ok=True)

    assert made.allows(RESET, 0)

    made.ended(14, 0, ok=False)

    assert drain(made, 0) == 1

    made.ended(14, 0, ok=True)
    made.ended(14, 0, ok=True)

    assert drain(made, 0) == 1


@pytest.mark.parametrize("kind", ["ratio", "tokens", "quota"])
def test_a_fork_makes_the_lock_new(kind) -> None:
    """A lock that some thread of the parent held does not block the child."""
    made = make_budget(budget(kind))
    made._lock.acquire()
    made.renew()
    made.deposit(0)
    made.ended(14, 0, ok=True)

    assert made.withdraw(RESET, 0) is not None
