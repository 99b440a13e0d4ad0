"""Under another policy: which calls differ, why, and how much of it is known."""

import pytest

from resilience.core.outcome import OK, Outcome
from resilience.core.target import Facts, Target
from tests.lab.replay.recordings import QUOTE, REFUSED, SAFE


PLAIN = """
version: 1
name: old
all:
  timeout: 5s
  attempt_timeout: 1s
  breaker: off
  retry_budget: off
  retry: {max_attempts: 3, initial_backoff: 100ms, jitter: none}
"""
TWO = PLAIN.replace("max_attempts: 3", "max_attempts: 2")
FOUR = PLAIN.replace("max_attempts: 3", "max_attempts: 4")
NOT_FOUND = Outcome("NOT_FOUND", "application", "yes")


def test_fewer_attempts(world, play):
    """A call that its third attempt saved fails at its second; others are the same."""
    path = (
        world(PLAIN)
        .call(0.0, OK)
        .call(1.0, REFUSED, REFUSED, OK)
        .call(2.0, REFUSED, OK)
        .call(3.0, REFUSED)
        .record()
    )

    found = play(path, TWO)

    assert {"fails-now": 1, "fewer-attempts": 1} == found.differences
    first, second = found.examples
    assert ("fails-now", (3, 2), ("OK", "UNAVAILABLE")) == (
        first.kind,
        first.attempts,
        first.code,
    )
    assert first.why == (
        "recorded: attempt 2 UNAVAILABLE after 10ms, retried after 200ms; "
        "now attempt 2 UNAVAILABLE after 10ms, fail: attempts-exhausted"
    )
    assert ("fewer-attempts", 3.0, "known") == (
        second.kind,
        second.at_s,
        second.certainty,
    )
    assert (9, 7) == (found.recorded.attempts, found.replayed.attempts)
    assert (5, 3) == (found.recorded.retries, found.replayed.retries)
    assert {"attempts-exhausted": 2} == found.replayed.denied
    assert {"known": 7, "assumed": 0, "unknown": 0} == found.attempts


def test_more_attempts_are_assumed_to_end_as_the_next_one(world, play):
    """A fourth attempt was never made: it ends as the next attempt that was begun."""
    failing = world(PLAIN).call(0.0, REFUSED).call(2.0, (OK, 0.05))
    path = failing.record()

    found = play(path, FOUR)

    assert {"succeeds-now": 1} == found.differences
    assert found.examples[0].certainty == "assumed"
    assert {"known": 4, "assumed": 1, "unknown": 0} == found.attempts


def test_the_newest_one_before_stands_in_where_none_follows(world, play):
    """At the end of the recording what came last is all there is."""
    path = world(PLAIN).call(0.0, OK).call(1.0, REFUSED).record()

    found = play(path, FOUR)

    assert {"more-attempts": 1} == found.differences
    assert found.examples[0].attempts == (3, 4)
    assert found.attempts["assumed"] == 1


def test_other_targets_and_methods_stand_in_for_nobody(world, play):
    """What another method met says nothing about this one."""
    other = Target(protocol="app", name="rates", service="rates", method="list")
    path = world(PLAIN).call(0.0, REFUSED).call(1.0, OK, target=other).record()

    found = play(path, FOUR)

    assert {"more-attempts": 1} == found.differences


def test_nothing_to_go_by(world, play):
    """Where no attempt was ever recorded, a call that is sent now ends unknown."""
    late = SAFE._replace(deadline_at=1000.5)
    path = world(PLAIN).call(1.0, facts=late).call(2.0, facts=late).record()
    patient = PLAIN.replace("name: old", "name: new")

    assert play(path, patient).differences.total() == 0

    text = path.read_text().replace('"deadline_at":1000.5', '"deadline_at":1009.5')
    path.write_text(text)
    found = play(path, patient)

    assert {"sent-now": 2} == found.differences
    assert {"known": 0, "assumed": 0, "unknown": 2} == found.attempts
    assert ("DEADLINE_EXCEEDED", "UNRECORDED") == found.examples[0].code
    assert any("UNRECORDED" in note for note in found.notes)


def test_an_attempt_at_another_moment_is_another_one(world, play):
    """A retry a second later finds another server: its recorded end is assumed."""
    path = world(PLAIN).call(0.0, REFUSED, OK).record()

    found = play(path, PLAIN.replace("100ms", "1s"))

    assert found.differences.total() == 0
    assert {"known": 1, "assumed": 1, "unknown": 0} == found.attempts
    assert found.replayed.elapsed_s == pytest.approx(1.02)


def test_a_shorter_timeout_is_known(world, play):
    """An attempt that took longer than the new limit would have been cut there."""
    path = world(PLAIN).call(0.0, (OK, 0.5)).call(1.0, (OK, 0.1)).record()

    found = play(path, PLAIN.replace("attempt_timeout: 1s", "attempt_timeout: 200ms"))

    (one,) = found.examples
    assert "attempt 1 DEADLINE_EXCEEDED after 200ms" in one.why
    assert found.attempts["known"] == 2
    assert one.attempts == (1, 2)


def test_a_longer_timeout_is_assumed_to_help_nobody(world, play):
    """How much longer an attempt would have taken that was cut off is not known."""
    path = world(PLAIN).call(0.0, None).call(4.0, OK).record()

    found = play(path, PLAIN.replace("attempt_timeout: 1s", "attempt_timeout: 2s"))

    assert {"other-reason": 1} == found.differences
    assert found.examples[0].reason == ("attempts-exhausted", "deadline")
    assert found.replayed.late == 1
    assert {"known": 1, "assumed": 3, "unknown": 0} == found.attempts


def test_a_breaker_rejects(world, play):
    """Ten failures in a row open it, by the evidence of what was recorded."""
    busy = world(PLAIN)
    for number in range(20):
        busy.call(number * 0.5, REFUSED)
    breaking = """breaker:
    kind: classic
    min_calls: 10
    failure_ratio: 0.5
    open_for: 3s"""

    found = play(busy.record(), PLAIN.replace("breaker: off", breaking))

    assert found.replayed.unsent["breaker-open"] > 0
    assert found.recorded.unsent == {}
    assert found.differences["rejected-now"] == found.replayed.unsent["breaker-open"]
    assert found.breakers["app:target=rates", "open"] >= 1
    assert found.contents.breakers == {}
    one = next(one for one in found.examples if one.kind == "rejected-now")
    assert "now not sent: breaker-open" in one.why


def test_a_budget_denies(world, play):
    """With hardly any budget most retries are denied, and counted by that reason."""
    busy = world(PLAIN)
    for number in range(30):
        busy.call(number * 0.1, REFUSED)
    budget = "retry_budget: {ratio: 0.1, min_per_second: 1}"

    found = play(busy.record(), PLAIN.replace("retry_budget: off", budget))

    assert found.replayed.denied["retry-budget"] > 20
    assert found.replayed.retries < found.recorded.retries / 4


def test_hedges(world, play):
    """A late attempt gets a rival, which is assumed to end as the next attempt."""
    quick = SAFE._replace(can_hedge=True)
    path = (
        world(PLAIN)
        .call(0.0, (OK, 0.01), facts=quick)
        .call(1.0, (OK, 0.9), facts=quick)
        .call(1.5, (OK, 0.01), facts=quick)
        .record()
    )

    found = play(path, PLAIN + "  hedging: {hedging_delay: 50ms}\n")

    assert {"more-attempts": 1} == found.differences
    assert found.replayed.hedges == 1
    assert found.attempts["assumed"] == 1
    assert found.replayed.elapsed_s == pytest.approx(0.01 + 0.06 + 0.01)


def test_observe_changes_nothing_until_enforced(world, play):
    """A policy in mode observe is played as it is; `mode` says as if it were not."""
    path = world(PLAIN).call(0.0, REFUSED, REFUSED, OK).record()
    watching = TWO.replace("name: old", "name: new\nmode: observe")

    assert {"fails-now": 1} == play(path, watching, mode="enforce").differences
    assert (0, 1) == (
        play(path, watching).replayed.retries,
        play(path, watching, mode="enforce").replayed.retries,
    )


def test_what_is_bypassed_is_not_played(world, play):
    """Calls that a policy does not touch are counted, and nothing else."""
    path = world(PLAIN).call(0.0, REFUSED, OK).record()

    found = play(path, PLAIN.replace("name: old", "name: new\nmode: bypass"))

    assert found.bypassed == 1
    assert found.replayed.calls == found.differences.total() == 0


def test_the_environment_does_not_act(world, play, monkeypatch):
    """A mode set for this machine is not one of the policy that is tried."""
    path = world(PLAIN).call(0.0, REFUSED, OK).record()
    monkeypatch.setenv("RESILIENCE_MODE", "bypass")

    assert play(path, PLAIN).replayed.calls == 1


def test_facts_of_the_call_hold(world, play):
    """A call that nobody declared harmless is not repeated under any policy."""
    maybe = Outcome("UNAVAILABLE", "transport", "maybe")
    path = world(PLAIN).call(0.0, maybe, facts=Facts("none")).record()

    found = play(path, FOUR)

    assert found.differences.total() == 0
    assert {"idempotency": 1} == found.replayed.denied


def test_per_method(world, play):
    """Each method has its own figures, by name; all together are their sum."""
    other = Target(protocol="app", name="rates", service="rates", method="list")
    path = (
        world(PLAIN)
        .call(0.0, REFUSED, REFUSED, OK)
        .call(1.0, NOT_FOUND, target=other)
        .record()
    )

    found = play(path, TWO)

    (first, list_), (second, quote) = found.methods.items()
    assert (other.full_method, QUOTE.full_method) == (first[2], second[2])
    assert (1, 0) == (list_.replayed.calls, list_.differences.total())
    assert {"fails-now": 1} == quote.differences
    assert found.replayed.calls == 2


def test_twice_the_same(world, play):
    """A replay is the same to the last digit, numbers that nobody recorded included."""
    busy = world(PLAIN)
    for number in range(12):
        busy.call(number * 0.3, REFUSED)
    path, jittered = busy.record(), FOUR.replace("jitter: none", "jitter: full")

    first, again = play(path, jittered), play(path, jittered)

    assert first.as_dict() == again.as_dict()
    assert first.as_dict() != play(path, jittered, seed=5).as_dict()
