"""The limiter's keys: what they come to, and what is refused."""

import pytest

from resilience import policy
from resilience.core.policy import LimiterPolicy
from resilience.errors import PolicyError


HEAD = 'version: 1\nedition: "2026.11"\n'


def limiter_of(text, mode=None):
    table = policy.load([("p", HEAD + text)])
    return table.policy_for("app", "a", "a", "b", mode).limiter


def test_off_until_a_file_turns_it_on():
    """It is off in the edition; `on` takes the edition's values."""
    assert limiter_of("") is None
    assert limiter_of("all: {limiter: on}\n") == LimiterPolicy(
        mode="enforce",
        kind="loss",
        initial_limit=20,
        min_limit=1,
        max_limit=200,
        max_queue=20,
        max_wait_s=0.1,
    )


def test_every_key():
    """Each key arrives in its unit; `max_wait: off` is no wait at all."""
    made = limiter_of(
        "all: {limiter: {mode: observe, kind: latency, initial_limit: 8, min_limit: 2,"
        " max_limit: 9, max_queue: 3, max_wait: off}}\n"
    )

    assert made == LimiterPolicy(
        mode="observe",
        kind="latency",
        initial_limit=8,
        min_limit=2,
        max_limit=9,
        max_queue=3,
        max_wait_s=0.0,
    )


@pytest.mark.parametrize("mode", ["observe", "bypass"])
def test_the_weaker_mode_holds(mode):
    """An engine that observes makes it observe; a bypassed one has none."""
    made = limiter_of(f"mode: {mode}\nall: {{limiter: on}}\n", mode)

    assert getattr(made, "mode", "bypass") == mode


@pytest.mark.parametrize(
    ("inner", "values"),
    [
        ("{max_limit: 5}", (1, 5, 5)),
        ("{min_limit: 50}", (50, 50, 200)),
        ("{min_limit: 300}", (300, 300, 300)),
        ("{initial_limit: 500}", (1, 500, 500)),
    ],
)
def test_an_inherited_value_gives_way(inner, values):
    """What is written more specifically holds; the others stay in order around it."""
    made = limiter_of(
        f"all: {{limiter: on}}\napp: {{operations: {{a/b: {{limiter: {inner}}}}}}}\n"
    )

    assert (made.min_limit, made.initial_limit, made.max_limit) == values


@pytest.mark.parametrize(
    ("value", "where", "code"),
    [
        ("{max_wait: 100}", "p:3:27", "bare-number"),
        ("{max_queue: 0}", "p:3:28", "out-of-range"),
        ("{kind: vegas}", "p:3:23", "unknown-word"),
        ("{max_inflight: 3}", "p:3:17", "unknown-key"),
        ("{min_limit: 3, initial_limit: 2}", "p:3:28", "conflict"),
    ],
)
def test_bad_values_say_where(value, where, code):
    """File, line and column of what is wrong, and which key it is."""
    with pytest.raises(PolicyError) as caught:
        limiter_of(f"all: {{limiter: {value}}}\n")

    (problem,) = caught.value.problems
    assert str(problem).startswith(where), str(problem)
    assert problem.code == code
