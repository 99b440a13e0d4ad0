"""One retry budget for the processes of a host: a pool, seen by all."""

import pytest

from resilience.core.budget import RatioBudget
from resilience.core.scope import Scopes
from resilience.core.shared_budget import SharedBudget, pool_key
from resilience.lab.simulate.hosts import Host
from tests.core.policies import RESET, budget


def processes(count: int, **values: float) -> list[SharedBudget]:
    """That many processes of one host, each with its view of the pool."""
    policy = budget(**values)
    host = Host(0.1, 0.1, lambda: 0.0)
    key = pool_key("app:target=rates", policy)
    return [SharedBudget(policy, host.process()(key)) for _ in range(count)]


def test_the_reserve_is_one_for_the_host() -> None:
    """What one process took of the reserve is gone for all, a slice later."""
    one, other = processes(2, ratio=0, min_per_second=1, ttl_s=10)
    taken = sum(one.withdraw(RESET, 0.5) is not None for _ in range(20))

    assert taken == 10
    assert other.balance(1.5) == 0
    assert other.withdraw(RESET, 1.5) is None


def test_calls_of_all_pay_for_the_retry_of_one() -> None:
    """A hundred processes that each made one call have twenty retries at 0.2."""
    many = processes(100, ratio=0.2, min_per_second=0)
    for each in many:
        each.deposit(0.5)

    assert [each.balance(1.5) for each in many[:3]] == [20, 20, 20]
    assert many[0].withdraw(RESET, 1.5) is not None
    assert many[7].balance(2.5) == 19


def test_own_calls_count_at_once() -> None:
    """A process need not wait for a slice to use what its own calls paid."""
    (one,) = processes(1, ratio=0.5, min_per_second=0)
    for _ in range(3):
        one.deposit(0.5)

    assert one.balance(0.5) == 1
    assert one.allows(RESET, 0.5)
    assert one.withdraw(RESET, 0.5) is not None
    assert not one.allows(RESET, 0.5)


def test_calls_and_retries_expire_together() -> None:
    """After `ttl` neither what was paid nor what was taken counts."""
    one, other = processes(2, ratio=0.2, min_per_second=1, ttl_s=10)
    for _ in range(10):
        one.deposit(0.5)
    for _ in range(5):
        other.withdraw(RESET, 1.5)

    assert one.balance(2.5) == 7
    assert one.balance(10.5) == 5
    assert other.balance(11.5) == 10


def test_a_refund_is_seen_by_all() -> None:
    """A retry that was paid for and not made is there again, for anybody."""
    one, other = processes(2, ratio=0, min_per_second=0.1, ttl_s=10)
    cost = one.withdraw(RESET, 0.5)

    assert cost is not None
    assert other.balance(1.5) == 0

    one.refund(cost, 1.6)

    assert one.balance(1.6) == 1
    assert other.balance(2.5) == 1


def test_alone_on_its_host_a_process_has_what_it_has_alone() -> None:
    """The pool of one process grants what its own budget grants, call by call."""
    policy = budget(ratio=0.2, min_per_second=0.3, ttl_s=10)
    (shared,) = processes(1, ratio=0.2, min_per_second=0.3, ttl_s=10)
    alone = RatioBudget(policy)
    granted = []
    for step in range(400):
        now = step * 0.13
        if step % 150 < 100:
            shared.deposit(now)
            alone.deposit(now)
        if step % 3 == 0:
            pair = shared.withdraw(RESET, now), alone.withdraw(RESET, now)
            assert pair[0] == pair[1], step
            granted.append(pair[0] is not None)

    assert 20 < sum(granted) < len(granted)


@pytest.mark.parametrize(
    ("kind", "pool"), [("ratio", True), ("tokens", False), ("quota", False)]
)
def test_only_ratios_are_pooled(kind: str, *, pool: bool) -> None:
    """Tokens and quotas are a process's own, as those who defined them have it."""
    host = Host(0.1, 0.1, lambda: 0.0)
    scope = Scopes(rows=host.process()).get("app:target=rates", 0.0)

    assert pool is isinstance(scope.budget(budget(kind)), SharedBudget)
    assert not isinstance(Scopes().get("a", 0.0).budget(budget(kind)), SharedBudget)
