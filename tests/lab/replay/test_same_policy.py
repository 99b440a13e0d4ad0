"""Under the policy that was live, a replay decides what was decided: in every world."""

import tempfile
from pathlib import Path

import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from resilience import policy
from resilience.core.outcome import OK, Outcome
from resilience.core.target import NO_FACTS, Target
from resilience.drivers.virtual import Reply
from resilience.lab.replay import replay
from tests.lab.replay.recordings import START_S, World


MANY = settings(
    derandomize=True,
    max_examples=60,
    deadline=None,
    database=None,
    print_blob=True,
    # The phase that explains traces every line: it takes ten times as long.
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
)

OTHER = Target(protocol="grpc", name="cart", service="shop.Cart", method="GetCart")
QUOTE = Target(protocol="app", name="rates", service="rates", method="quote")

outcomes = st.sampled_from(
    [
        OK,
        OK,
        OK,
        Outcome("UNAVAILABLE", "transport", "no"),
        Outcome("UNAVAILABLE", "transport", "maybe"),
        Outcome("UNAVAILABLE", "transport", "no", unprocessed=True),
        Outcome("UNAVAILABLE", "transport", "no", ours=True),
        Outcome("RESOURCE_EXHAUSTED", "overload", "no", throttled=True),
        Outcome("RESOURCE_EXHAUSTED", "overload", "no", pushback_s=0.5),
        Outcome("SlowDown", "overload", "no", pushback_s=2, pushback_form="hint"),
        Outcome("DEADLINE_EXCEEDED", "transport", "maybe", timed_out=True),
        Outcome("NOT_FOUND", "application", "yes"),
        Outcome("CANCELLED", "local", "maybe"),
    ]
)
timeouts = st.sampled_from(
    [("off", "off"), ("off", "300ms"), ("1s", "300ms"), ("4s", "1s"), ("1s", "off")]
)
NARROW = {
    "initial_limit": 2,
    "min_limit": 1,
    "max_limit": 3,
    "max_queue": 3,
    "max_wait": "200ms",
}
breakers = st.one_of(
    st.just("off"),
    st.fixed_dictionaries(
        {
            "kind": st.just("classic"),
            "min_calls": st.integers(1, 4),
            "failure_ratio": st.sampled_from([0.2, 0.6]),
            "open_for": st.sampled_from(["200ms", "2s"]),
            "when_open": st.sampled_from(["reject", "wait"]),
        }
    ),
    st.fixed_dictionaries({"kind": st.just("adaptive")}),
)
sections = st.fixed_dictionaries(
    {
        "idempotency": st.sampled_from(["auto", "safe"]),
        "retry": st.one_of(
            st.just("off"),
            st.fixed_dictionaries(
                {
                    "max_attempts": st.integers(1, 5),
                    "initial_backoff": st.sampled_from(["10ms", "400ms"]),
                    "jitter": st.sampled_from(["full", "equal", "none"]),
                }
            ),
        ),
        "retry_budget": st.sampled_from(
            ["off", {"ratio": 0.1, "min_per_second": 1}, {"ratio": 1.0}]
        ),
        "breaker": breakers,
        "hedging": st.sampled_from(["off", "off", {"hedging_delay": "53ms"}]),
        "limiter": st.sampled_from(["off", "off", NARROW]),
    }
)
policies = st.builds(
    lambda mode, section, lengths: {
        "version": 1,
        "name": "t",
        "mode": mode,
        "all": {**section, "timeout": lengths[0], "attempt_timeout": lengths[1]},
    },
    st.sampled_from(["enforce", "enforce", "observe"]),
    sections,
    timeouts,
)
facts = st.builds(
    NO_FACTS._replace,  # of Facts itself Hypothesis would make up the other fields
    declared=st.sampled_from(["safe", "safe", "none"]),
    timeout_s=st.sampled_from([None, None, 0.25, 5.0]),
    deadline_at=st.sampled_from([None, None, START_S + 2.003]),
    streams=st.sampled_from([False, False, True]),
    previous_attempts=st.sampled_from([0, 0, 1]),
    host_decides=st.sampled_from([False, False, True]),
    long=st.sampled_from([False, False, False, True]),
    level=st.sampled_from([None, None, 0.4]),
    can_hedge=st.booleans(),
)
replies = st.none() | st.builds(
    Reply,
    outcomes,
    st.sampled_from([0.011, 0.017, 0.2, 0.7, 3.0]),
    st.sampled_from([None, 0.1]),
    st.sampled_from([None, None, 0.005]),
)
visits = st.tuples(
    st.integers(0, 40),
    st.lists(replies, min_size=1, max_size=5),
    facts,
    st.sampled_from([QUOTE, QUOTE, OTHER]),
    st.sampled_from([None, None, None, 0.15]),
)


def apart(reply, index, number, last):
    """The same reply at a moment of its own: who came first is not recorded."""
    if reply is None:
        return None
    return reply._replace(
        after_s=reply.after_s + index * 1.37e-5 + number * 1.9e-6,
        host_wait_s=None if number == last else reply.host_wait_s,
    )


@MANY
@given(policies, st.lists(visits, min_size=1, max_size=12), st.integers(0, 9))
def test_nothing_differs(made, visited, seed):
    """Same decisions, same moments, same breakers; all of it known."""
    text = yaml.safe_dump(made)
    with tempfile.TemporaryDirectory() as folder:
        world = World(text, Path(folder) / "records.jsonl", seed=seed)
        for index, (tenths, answers, known, target, leaves_s) in enumerate(visited):
            told = [*answers, *answers]
            told = [apart(one, index, n, len(told) - 1) for n, one in enumerate(told)]
            leaves = None if leaves_s is None else leaves_s + index * 1.1e-5
            at = tenths * 0.1 + index * 1.13e-4
            world.call(at, *told, facts=known, target=target, leaves_after_s=leaves)
        path = world.record()
        found = replay([path], policy.load([("old.yaml", text)]))

    assert found.examples == ()
    assert found.differences.total() == 0
    assert found.recorded.as_dict() == found.replayed.as_dict()
    assert found.breakers == found.contents.breakers
    assert found.attempts["assumed"] == found.attempts["unknown"] == 0
    assert found.contents.calls == len(visited)


LATE = """
version: 1
name: late
all:
  attempt_timeout: 300ms
  breaker: off
  retry: {max_attempts: 4, initial_backoff: 100ms}
"""


def test_timers_that_fired_late(tmp_path):
    """A busy process wakes late: what it did is played at the moment it did it."""
    world = World(LATE, tmp_path / "records.jsonl")
    at = world.loop.at
    world.loop.at = lambda when, fn: at(when + 0.02, fn)
    for index in range(5):
        world.call(index * 0.37, None, Outcome("UNAVAILABLE", "transport", "no"), OK)
    found = replay([world.record()], policy.load([("old.yaml", LATE)]))

    assert found.recorded.retries == 10
    assert found.recorded.as_dict() == found.replayed.as_dict()
    assert found.attempts["assumed"] == 0


WAITING = """
version: 1
name: waiting
all:
  retry: off
  breaker:
    kind: classic
    min_calls: 4
    failure_ratio: 0.5
    open_for: 200ms
    when_open: wait
"""


def test_calls_that_stand_in_line(tmp_path):
    """Who waits for an open breaker wakes in vain at the same moments again."""
    world = World(WAITING, tmp_path / "records.jsonl")
    refused = Outcome("UNAVAILABLE", "transport", "no")
    for index in range(40):
        answer = refused if index < 12 else OK
        world.call(index * 0.031, (answer, 0.017), facts=NO_FACTS._replace(timeout_s=5))
    found = replay([world.record()], policy.load([("old.yaml", WAITING)]))

    assert found.recorded.wait_s > 1
    assert found.recorded.as_dict() == found.replayed.as_dict()
    assert found.breakers == found.contents.breakers
