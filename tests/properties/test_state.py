"""What holds for breakers, budgets and backoff, whatever happens to them."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from resilience.core.backoff import Backoff
from resilience.core.breaker import Permit, Refusal
from resilience.core.budget import SLICES, make_budget
from resilience.core.classic import MIN_PAUSE_S
from resilience.core.classic import ClassicBreaker as Breaker
from tests.core.policies import RESET, THROTTLED, TIMEOUT, backoff, budget
from tests.properties.worlds import QUICK, breakers


made_breakers = breakers.filter(lambda made: made is not None)
steps = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.05, 0.4, 2.0, 6.0]),
        st.sampled_from(["admit", "admit", "success", "failure", "neutral", "own"]),
        st.sampled_from([0.01, 1.0]),
    ),
    max_size=60,
)


def live(made: Breaker, script, seed: int) -> tuple[float, list[Permit]]:
    """Admissions and results in a random order; the moment and what is under way."""
    now, rng, permits = 0.0, random.Random(seed), []
    for pause, what, elapsed_s in script:
        now += pause
        if what == "admit":
            answer = made.admit(now, rng.random)
            if isinstance(answer, Permit):
                permits.append(answer)
            elif answer.retry_at is not None:
                assert answer.retry_at >= now + MIN_PAUSE_S
        elif permits:
            permit = permits.pop(rng.randrange(len(permits)))
            made.done(permit, what, elapsed_s, now, rng.random)
    return now, permits


@QUICK
@given(made_breakers, steps, st.integers(0, 9))
def test_probes_are_bounded(policy, script, seed) -> None:
    """Half-open holds at most `concurrent_probes` leases, at most `probes` a round."""
    made = Breaker(policy, "s")
    for end in range(0, len(script) + 1, 7):
        made = Breaker(policy, "s")
        live(made, script[:end], seed)

        assert len(made._leases) <= policy.concurrent_probes
        assert 0 <= made._admitted <= policy.probes


@QUICK
@given(made_breakers, steps, st.integers(0, 9))
def test_a_breaker_recovers_when_its_target_does(policy, script, seed) -> None:
    """From any state, calls that come again and succeed close it in the end."""
    made = Breaker(policy, "s")
    now, _ = live(made, script, seed)
    rng = random.Random(seed).random
    for _ in range(1500):  # a hung probe of 5 s is asked after each 10 ms
        answer = made.admit(now, rng)
        if isinstance(answer, Refusal):
            assert answer.retry_at is not None
            now = max(now, answer.retry_at)
        else:
            now += 0.05
            made.done(answer, "success", 0.05, now, rng)

    assert made.state == "closed"
    assert isinstance(made.admit(now, rng), Permit)


@QUICK
@given(made_breakers, steps, st.integers(0, 9))
def test_silence_never_locks_a_breaker(policy, script, seed) -> None:
    """However many probes hang, who asks when told is admitted in the end."""
    made = Breaker(policy, "s")
    now, _ = live(made, script, seed)
    rng = random.Random(seed).random
    longest = 4 * (policy.max_open_for_s + policy.probe_timeout_s + policy.ramp_s)
    until = now + longest
    while now < until:
        answer = made.admit(now, rng)
        if isinstance(answer, Permit):
            break
        now = answer.retry_at

    assert now < until


@QUICK
@given(made_breakers, steps, st.integers(0, 9))
def test_late_results_change_nothing(policy, script, seed) -> None:
    """Permits of an older generation come back to a state that does not move."""
    made = Breaker(policy, "s")
    now, permits = live(made, script, seed)
    state, generation = made.state, made.generation
    for permit in permits:
        if permit.generation != generation:
            made.done(permit, "failure", 1.0, now, random.random)

    assert (made.state, made.generation) == (state, generation)


@QUICK
@given(
    st.sampled_from([0.1, 0.2, 0.5, 1.0, 2.0]),
    st.sampled_from([0.0, 0.5, 2.0]),
    st.lists(st.tuples(st.sampled_from([0.0, 0.01, 0.3, 4.0]), st.integers(0, 5))),
)
def test_a_ratio_budget_never_exceeds_its_ratio(ratio, reserve, script) -> None:
    """Retries are at most the ratio of calls, plus a reserve for each `ttl` begun."""
    ttl_s = 10.0
    made = make_budget(budget(ratio=ratio, min_per_second=reserve, ttl_s=ttl_s))
    now, retries = 0.0, 0
    for calls, (pause, wanted) in enumerate(script, start=1):
        now += pause
        made.deposit(now)
        for _ in range(wanted):
            allowed = made.allows(RESET, now)

            assert allowed == (made.balance(now) >= 1)

            cost = made.withdraw(RESET, now)

            assert allowed == (cost is not None)

            retries += allowed
        # A slice is a tenth, so spent reserve may come back after nine of them.
        refills = 1 + math.floor(now / (ttl_s * (SLICES - 1) / SLICES))

        assert retries <= ratio * calls + reserve * ttl_s * refills + 1e-9


@QUICK
@given(
    st.sampled_from(["ratio", "tokens", "quota"]),
    st.lists(
        st.tuples(
            st.sampled_from(["call", "retry", "refund", "ok", "fail", "bad"]),
            st.sampled_from([RESET, THROTTLED, TIMEOUT]),
        )
    ),
)
def test_budgets_stay_within_their_bounds(kind, script) -> None:
    """Never below nothing, never above full; what is allowed is granted."""
    made = make_budget(budget(kind, capacity=40, max_tokens=4, min_per_second=0.3))
    full = make_budget(made.policy).balance(0)
    costs: list[int] = []
    for what, outcome in script:
        if what == "call":
            made.deposit(0)
        elif what == "retry":
            allowed = made.allows(outcome, 0)
            cost = made.withdraw(outcome, 0)

            assert allowed == (cost is not None)

            costs += [] if cost is None else [cost]
        elif what == "refund" and costs:
            made.refund(costs.pop(), 0)
        elif what in {"ok", "bad"}:
            cost = costs.pop() if costs else None
            made.ended(cost, 0, ok=what == "ok")
        elif what == "fail":
            made.failed(0, counts=True)

        assert made.balance(0) >= 0
        if kind != "ratio":
            assert made.balance(0) <= full


@QUICK
@given(
    st.sampled_from(["full", "equal", "decorrelated", "none"]),
    st.sampled_from([0.0, 0.05, 1.0, 30.0]),
    st.sampled_from([0.5, 5.0]),
    st.sampled_from([1.0, 1.6, 10.0]),
    st.lists(st.integers(1, 60), min_size=1, max_size=20),
    st.integers(0, 99),
)
def test_waits_are_within_bounds(  # noqa: PLR0917 - Hypothesis fills them
    jitter, initial_s, max_s, multiplier, numbers, seed
) -> None:
    """Never negative, never above the maximum, never below what the jitter leaves."""
    rng = random.Random(seed).random
    made = Backoff(backoff(initial_s, max_s, multiplier, jitter))
    for n in numbers:
        wait = made.wait(n, rng)
        plain = min(max_s, initial_s * multiplier ** (n - 1))
        low = {"full": 0, "equal": plain / 2, "none": plain}.get(jitter, 0)

        assert low - 1e-9 <= wait <= max_s
        if jitter != "decorrelated":
            assert wait <= plain + 1e-9


@QUICK
@given(st.sampled_from(["full", "equal", "decorrelated"]), st.integers(0, 999))
def test_clients_do_not_fall_into_step(jitter, seed) -> None:
    """A hundred clients at attempt 30 draw a hundred different waits."""
    rng = random.Random(seed).random
    drawn = set()
    for _ in range(100):
        made = Backoff(backoff(jitter=jitter))
        for n in range(1, 31):
            wait = made.wait(n, rng)
        drawn.add(wait)

    assert len(drawn) > 95
