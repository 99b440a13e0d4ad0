"""Scopes: which state is shared, and how many are kept."""

import threading
from dataclasses import replace

import pytest

from resilience.core.scope import EVICT_SHARE, Scope, Scopes, scope_key
from resilience.core.target import Target
from tests.core.policies import TARGET, breaker, budget


BUCKET = Target(
    protocol="aws",
    name="s3",
    service="s3",
    method="PutObject",
    labels=(("region", "eu-west-1"), ("bucket", "orders")),
)


@pytest.mark.parametrize(
    ("target", "dimensions", "key"),
    [
        (TARGET, ("target",), "app:target=rates"),
        (TARGET, ("target", "method"), "app:target=rates,method=quote"),
        (BUCKET, ("region", "bucket"), "aws:region=eu-west-1,bucket=orders"),
        (BUCKET, ("service", "operation"), "aws:service=s3,operation=PutObject"),
        (BUCKET, ("table",), "aws:table=-"),
    ],
)
def test_a_scope_is_named_after_its_dimensions(target, dimensions, key) -> None:
    """Protocol, then each dimension with its value; unknown ones are a dash."""
    assert scope_key(target, dimensions) == key


@pytest.mark.parametrize(
    ("target", "name"), [(TARGET, "rates/quote"), (BUCKET, "s3.PutObject")]
)
def test_a_target_has_a_full_method(target, name) -> None:
    """`service/method`, and `service.Operation` for AWS."""
    assert target.full_method == name


def test_one_scope_shares_one_state() -> None:
    """The same parameters under the same name are the same breaker and budget."""
    scope = Scope("s", 0)

    assert scope.breaker(breaker()) is scope.breaker(breaker())
    assert scope.budget(budget()) is scope.budget(budget())


def test_other_parameters_are_another_state() -> None:
    """Methods that tune a breaker differently do not fight over one."""
    scope = Scope("s", 0)

    assert scope.breaker(breaker()) is not scope.breaker(breaker(min_calls=9))
    assert scope.budget(budget()) is not scope.budget(budget(ratio=0.1))


def test_the_mode_is_not_part_of_the_identity() -> None:
    """Switching to observe and back keeps what was learned."""
    scope = Scope("s", 0)
    observing = replace(breaker(), mode="observe")
    watching = replace(budget(), mode="observe")

    assert scope.breaker(observing) is scope.breaker(breaker())
    assert scope.budget(watching) is scope.budget(budget())


def test_the_least_recently_used_go_first() -> None:
    """A full registry drops a sixteenth, the longest unused, and says so."""
    told = []
    scopes = Scopes(32, lambda: told.append(True))
    made = [scopes.get(f"s{n}", n) for n in range(32)]
    made[0].last_used = 100.0
    scopes.get("s1", 101.0)
    scopes.get("new", 102.0)

    assert scopes.evicted == 32 // EVICT_SHARE
    assert {scope.key for scope in scopes} == (
        {f"s{n}" for n in range(32)} - {"s2", "s3"} | {"new"}
    )
    assert len(scopes) == 31
    assert told == [True]
    assert scopes.find("s2") is None
    assert scopes.find("s0") is made[0]


def test_a_tiny_registry_still_has_room_for_one() -> None:
    """At least one scope is dropped, however few there may be."""
    scopes = Scopes(1)
    scopes.get("a", 0)
    scopes.get("b", 1)

    assert [scope.key for scope in scopes] == ["b"]


def test_threads_get_the_same_scope() -> None:
    """Many threads that ask for one name at once share one scope."""
    scopes, found = Scopes(), []
    threads = [
        threading.Thread(target=lambda: found.append(scopes.get("s", 0)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({id(scope) for scope in found}) == 1


def test_a_fork_makes_all_locks_new() -> None:
    """Locks that threads of the parent held do not block the child."""
    scopes = Scopes()
    scope = scopes.get("s", 0)
    made, money = scope.breaker(breaker()), scope.budget(budget())
    for lock in (scopes._lock, made._lock, money._lock):
        lock.acquire()
    scopes.renew()

    assert scopes.get("s", 1) is scope
    assert not made._lock.locked()
    assert not money._lock.locked()


def test_a_snapshot_names_every_scope_with_its_state() -> None:
    """Sorted by name, plain data: idle time, breakers, what the budgets grant."""
    scopes = Scopes()
    scopes.get("b", 0.0).breaker(breaker())
    scopes.get("a", 1.0).budget(budget())
    first, second = scopes.snapshot(3.0)

    assert (first["scope"], first["idle_s"], first["retry_budget"]) == ("a", 2.0, [10])
    assert [found["state"] for found in second["breakers"]] == ["closed"]
